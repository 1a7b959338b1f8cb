"""The alternating solver of attribution consistency (He et al., 2026, section 4.1): two halves in turn.

FOLDER/last.pt   both halves with their optimisers after so many rounds; a fit goes on from there
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vestige.errors import ConfigError, DataError
from vestige.methods.attribution.model import Attribution
from vestige.methods.attribution.module import attribution_loss, classification_loss
from vestige.methods.base import Network
from vestige.progress import Progress
from vestige.training.examples import Examples, batches
from vestige.training.parallel import told
from vestige.training.recipe import Recipe

LAST = "last.pt"
ATTRIBUTION, CLASSIFIER = 0, 1  # which stream of draws

Half = npt.NDArray[np.float16]
Flags = npt.NDArray[np.bool_]


class Pool:
    """Features of views, drawn by weight. (seed, stream, number) decides all of a batch.

    Args:
        features: float16 [N, D].
        labels: int64 [N].
        weights: float64 [N], how often a view is drawn relative to the others; one with 0 never is.
        size: views in a batch.
    """

    def __init__(
        self,
        features: Half,
        labels: npt.NDArray[np.int64],
        weights: npt.NDArray[np.float64],
        size: int,
        seed: int,
    ) -> None:
        self.features, self.labels, self.size, self.seed = features, labels, size, seed
        self.members = np.flatnonzero(weights > 0)
        self.bounds = np.cumsum(weights[self.members])
        self.bounds /= self.bounds[-1]

    def batch(self, stream: int, number: int) -> tuple[Tensor, Tensor]:
        """Features [size, D] and labels [size], float32."""
        rng = np.random.default_rng([self.seed, stream, number])
        drawn = self.members[np.searchsorted(self.bounds, rng.random(self.size), side="right")]
        return torch.from_numpy(self.features[drawn]).float(), torch.from_numpy(self.labels[drawn]).float()


class Alternation:
    """Both halves of a network with their optimisers.

    Args:
        network: its standardisation fitted.
        source: draws views of the single class for the attribution module.
        everything: draws views of both classes for the classifier.

    Attributes:
        fabric: of a fit that several processes share: each takes its share of every batch, and all go on
            with the mean of their gradients, which is that of the whole batch. Batch normalisation in the
            classifier then sees shares of batches, and what it keeps for later is the first process's.
    """

    fabric: Any = None

    def __init__(self, network: Attribution, source: Pool, everything: Pool, recipe: Recipe) -> None:
        self.network, self.source, self.everything = network, source, everything
        self.options = options = recipe.fit.alternating
        self.device = next(network.parameters()).device
        self.attribution = torch.optim.Adam(
            network.attribution_parameters(), lr=options.attribution_learning_rate
        )
        # With no decay this is Adam.
        self.classifier = torch.optim.AdamW(
            network.classifier_parameters(),
            lr=options.classifier_learning_rate,
            weight_decay=options.classifier_weight_decay,
        )
        self.rounds = 0  # that were done

    def round(self) -> tuple[float, float]:
        """One alternation; the mean losses of both halves, nan for one without steps."""
        options = self.options
        first = self.rounds * options.attribution_steps
        attribution = [self.attribution_step(first + number) for number in range(options.attribution_steps)]
        first = self.rounds * options.classifier_steps
        classifier = [self.classifier_step(first + number) for number in range(options.classifier_steps)]
        self.rounds += 1
        return (
            float(torch.stack(attribution).mean()) if attribution else float("nan"),
            float(torch.stack(classifier).mean()),
        )

    def attribution_step(self, number: int) -> Tensor:
        """Refine the attribution module on the single class, the classifier frozen; the loss before it."""
        features, _ = self._own(self.source.batch(ATTRIBUTION, number))
        self._only(attribution=True)
        deviations = self.network.deviations(self._standardised(features))
        return self._step(self.attribution, attribution_loss(deviations))

    def classifier_step(self, number: int) -> Tensor:
        """Update the classifier on both classes, the attribution module frozen; the loss before it."""
        features, labels = self._own(self.everything.batch(CLASSIFIER, number))
        self._only(attribution=False)
        with torch.no_grad():
            evidence = self.network.evidence(self._standardised(features))
        logits = self.network.classify(evidence)
        return self._step(self.classifier, classification_loss(logits, labels.to(self.device)))

    def state(self) -> dict[str, Any]:
        """All that a continued fit needs."""
        return {
            "rounds": self.rounds,
            "network": {
                name: tensor
                for name, tensor in self.network.state_dict().items()
                if not name.startswith("features.")
            },
            "attribution": self.attribution.state_dict(),
            "classifier": self.classifier.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a state.

        Raises:
            RuntimeError, ValueError, KeyError: it is of another network.
        """
        _, unexpected = self.network.load_state_dict(state["network"], strict=False)
        if unexpected:
            raise ValueError(f"{unexpected[0]} is unknown")
        self.attribution.load_state_dict(state["attribution"])
        self.classifier.load_state_dict(state["classifier"])
        self.rounds = state["rounds"]

    def _standardised(self, features: Tensor) -> Tensor:
        found: Tensor = self.network.standardise(features.to(self.device))
        return found

    def _only(self, attribution: bool) -> None:
        for parameter in self.network.attribution_parameters():
            parameter.requires_grad_(attribution)
        for parameter in self.network.classifier_parameters():
            parameter.requires_grad_(not attribution)
        # Batch normalisation in the classifier must not follow what the attribution module is shown.
        self.network.train(not attribution)

    def _own(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        if self.fabric is None:
            return batch
        own = slice(self.fabric.global_rank, None, self.fabric.world_size)
        return batch[0][own], batch[1][own]

    def _step(self, optimiser: torch.optim.Optimizer, loss: Tensor) -> Tensor:
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.fabric is None:
            optimiser.step()
            return loss.detach()
        for group in optimiser.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad = self.fabric.all_reduce(parameter.grad, reduce_op="mean")
        optimiser.step()
        shared: Tensor = self.fabric.all_reduce(loss.detach(), reduce_op="mean")
        return shared


def fit(
    network: Network,
    examples: Examples,
    chosen: Flags,
    recipe: Recipe,
    folder: Path,
    progress: Progress,
) -> None:
    """Fit standardisation, attribution module and classifier, in place; continues from `folder/last.pt`.

    Args:
        network: ends in eval mode on the CPU.
        chosen: bool [views of the plan], which views take part.
        folder: for checkpoints.

    Raises:
        ConfigError: the network is not the method's, or a checkpoint is of another one.
        DataError: no view of the attribution source takes part.
    """
    if not isinstance(network, Attribution):
        raise ConfigError(f"the alternating solver fits attribution modules, not {type(network).__name__}")
    network.eval()
    order, features = _features(network, examples, chosen)
    source = of_source(network, examples)[order]
    if not source.any():
        options = network.config.source
        named = f" of {', '.join(options.groups)}" if options.groups else ""
        raise DataError(
            f"none of the {len(order)} views that take part in this fit are {options.label} pictures{named}, "
            "which the attribution module is to be fitted to; name other groups in model.source, or fit to "
            "pictures that have some"
        )
    if source.sum() < 2 and network.config.standardise == "source":
        raise DataError(
            "the attribution source has one view, by which features cannot be standardised; give more "
            "pictures or views, or set model.standardise to none"
        )
    if network.config.standardise == "source":
        network.standardise.fit(torch.from_numpy(features[source]).float())
    labels, weights = examples.labels[order], examples.weights[order]
    size, seed = recipe.fit.batch, recipe.fit_seed
    devices = recipe.fit.devices
    if size % devices:
        raise ConfigError(f"fit.batch ({size}) cannot be shared evenly among fit.devices ({devices})")
    pools = (
        Pool(features, labels, np.where(source, weights, 0), size, seed),
        Pool(features, labels, weights, size, seed),
    )
    if devices == 1:
        network.to("cuda" if torch.cuda.is_available() else "cpu")
        _run(Alternation(network, *pools, recipe), folder, progress)
    else:
        _run_together(network, pools, recipe, folder, progress)
    network.requires_grad_(False).cpu().eval()


def of_source(network: Attribution, examples: Examples) -> Flags:
    """Which views of a plan are of the single class that a network's attribution module is fitted to."""
    options = network.config.source
    found: Flags = (examples.labels == int(options.label == "generated")) & ~examples.reconstructed
    if options.groups is not None:
        found &= np.isin(examples.groups, options.groups)
    return found


def _features(network: Attribution, examples: Examples, chosen: Flags) -> tuple[npt.NDArray[np.int64], Half]:
    """Indices of the chosen views in the plan, and their features [N, D]."""
    order, parts = [], []
    with torch.inference_mode():
        for kept, views in batches(examples, chosen):
            # In the precision of what is kept: that is what the towers' features have anyway.
            parts.append(network.features(*kept).half().numpy())
            order.append(views)
    return np.concatenate(order), np.concatenate(parts)


def _run_together(
    network: Attribution, pools: tuple[Pool, Pool], recipe: Recipe, folder: Path, progress: Progress
) -> None:
    from lightning.fabric import Fabric
    from lightning.fabric.strategies import DDPStrategy

    alternation = Alternation(network, *pools, recipe)
    _continue(alternation, folder / LAST)  # a checkpoint that does not fit is told here, not by a process
    strategy = DDPStrategy(start_method="spawn")
    fabric = Fabric(accelerator="auto", devices=recipe.fit.devices, strategy=strategy)
    with told():
        fabric.launch(_run_share, network, pools, recipe, folder, progress)
    _continue(alternation, folder / LAST)


def _run_share(
    fabric: Any,
    network: Attribution,
    pools: tuple[Pool, Pool],
    recipe: Recipe,
    folder: Path,
    progress: Progress,
) -> None:
    """What each of several processes does; the optimisers are made here, of the parameters that are here."""
    alternation = Alternation(network.to(fabric.device), *pools, recipe)
    alternation.fabric = fabric
    _run(alternation, folder, progress)


def _continue(alternation: Alternation, last: Path) -> None:
    if last.exists():
        try:
            alternation.load(torch.load(last, weights_only=True))
        except Exception as error:  # damaged, or of another network: one of many types
            reason = str(error).strip().split("\n")[0]
            raise ConfigError(
                f"{last}: cannot be continued ({reason}); delete it to begin this fit anew"
            ) from error


def _run(alternation: Alternation, folder: Path, progress: Progress) -> None:
    options, last = alternation.options, folder / LAST
    _continue(alternation, last)
    writes = alternation.fabric is None or alternation.fabric.is_global_zero
    folder.mkdir(parents=True, exist_ok=True)
    while alternation.rounds < options.rounds:
        attribution, classifier = alternation.round()
        if alternation.rounds % options.rounds_per_checkpoint and alternation.rounds < options.rounds:
            continue
        if not writes:
            continue
        partial = last.with_suffix(".part")
        torch.save(alternation.state(), partial)
        partial.replace(last)
        progress.say(
            f"  round {alternation.rounds} of {options.rounds}: deviation {attribution:.1f} on the source, "
            f"classification loss {classifier:.3f}"
        )
