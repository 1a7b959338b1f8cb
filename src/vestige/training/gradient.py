"""The gradient solver: Lightning's Trainer over cached features, resumable to the same weights."""

import logging
import time
import warnings
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn

from vestige.errors import ConfigError
from vestige.methods.base import Network
from vestige.progress import Progress
from vestige.training import logistic
from vestige.training.examples import Examples, tensors
from vestige.training.parallel import strategy, told
from vestige.training.recipe import Recipe

PREPARING_BATCHES = 40
TRAINING, PREPARING = 0, 1  # which stream of draws

Batch = tuple[tuple[Tensor, ...], Tensor]


class Draw:
    """Batches of views of one shape, drawn by weight. (seed, stream, number) decides all of a batch.

    Args:
        chosen: bool [views of the plan], which views may be drawn.
        size: views in a batch.
    """

    def __init__(self, examples: Examples, chosen: npt.NDArray[np.bool_], size: int, seed: int) -> None:
        self.examples, self.size, self.seed = examples, size, seed
        self.members = [np.flatnonzero(chosen[bucket.views]) for bucket in examples.buckets]
        self.weights = [
            examples.weights[bucket.views[members]]
            for bucket, members in zip(examples.buckets, self.members, strict=True)
        ]

    def batch(self, stream: int, number: int) -> Batch:
        """Features and labels [size], float32."""
        rng = np.random.default_rng([self.seed, stream, number])
        totals = np.array([weights.sum() for weights in self.weights])
        which = rng.choice(len(totals), p=totals / totals.sum())
        drawn = rng.choice(self.members[which], self.size, p=self.weights[which] / totals[which])
        bucket = self.examples.buckets[which]
        return tensors(bucket, drawn), torch.from_numpy(self.examples.labels[bucket.views[drawn]]).float()


class RunningAverage(nn.Module):
    """Running average of what training changes: trained parameters and statistics of batch normalisation.

    The statistics are averaged with the weights because they belong to them: those of the newest step
    describe activations of the newest weights, and the averaged weights make others. Frozen weights are not
    averaged: they would only cost memory and time.

    Args:
        share: weight of the newest step.
    """

    def __init__(self, network: Network, share: float) -> None:
        super().__init__()
        self.share = share
        self.names = [name for name, p in network.named_parameters() if p.requires_grad]
        for prefix, module in network.named_modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.track_running_stats:
                self.names += [f"{prefix}.running_mean", f"{prefix}.running_var"]
        for name, tensor in self._newest(network).items():
            self.register_buffer(_without_dots(name), tensor.detach().clone())

    @torch.no_grad()
    def follow(self, network: Network, steps: int) -> None:
        """Take in the weights after so many steps, 1 for the first."""
        # While few steps are behind, a plain mean: a slow average would still hold the starting weights.
        share = max(self.share, 1 / steps)
        for name, newest in self._newest(network).items():
            kept = self.get_buffer(_without_dots(name))
            kept.copy_(torch.lerp(kept, newest.detach(), share))

    @torch.no_grad()
    def copy_to(self, network: Network) -> None:
        """Give a network the averages."""
        for name, newest in self._newest(network).items():
            newest.copy_(self.get_buffer(_without_dots(name)))

    def _newest(self, network: Network) -> dict[str, Tensor]:
        tensors = network.state_dict(keep_vars=True)
        return {name: tensors[name] for name in self.names}


def _without_dots(name: str) -> str:
    return name.replace(".", "/")  # PyTorch's buffers must not have any


class HeadTraining(lightning.LightningModule):  # type: ignore[misc]
    """Binary cross-entropy on the head, and losses of the network's own.

    The kept weights are a running average of the trained ones. A step takes `accumulate` batches on each of
    `devices` processes, which take turns: two devices see what one that accumulates two batches sees. Batch
    normalisation in training mode takes its statistics from each batch on its own, in both cases; what it
    keeps for later are the first process's.
    """

    def __init__(self, network: Network, draw: Draw, recipe: Recipe, progress: Progress) -> None:
        super().__init__()
        self.network = network
        self.averaged = RunningAverage(network, recipe.fit.averaging)
        self.draw, self.recipe, self.progress = draw, recipe, progress
        self._begun, self._getting, self._images = 0.0, 0.0, 0
        self.strict_loading = False  # frozen weights are not there; `on_load_checkpoint` looks after the rest

    def train_dataloader(self) -> range:
        """Nothing but a count: batches follow from the step, so a continued run draws the same."""
        return range(self.recipe.fit.steps_per_epoch * self.recipe.fit.accumulate)

    def training_step(self, batch: int) -> Tensor:
        """Loss of one of the batches that belong to the current step."""
        asked = time.perf_counter()
        number = self._number(int(batch))
        features, labels = self.draw.batch(TRAINING, number)
        self._getting += time.perf_counter() - asked
        self._images += len(labels)
        torch.manual_seed(self.recipe.fit_seed * 1_000_003 + number)  # for dropout
        smoothing = self.recipe.fit.label_smoothing
        output, extra = self.network.learn(*(feature.to(self.device) for feature in features))
        targets = labels.to(self.device) * (1 - smoothing) + smoothing / 2
        parts = {"classification": F.binary_cross_entropy_with_logits(output.logit.float(), targets), **extra}
        loss = torch.stack(list(parts.values())).sum()
        logged = {"loss": loss, **(parts if extra else {})}
        self.log_dict(logged, on_step=False, on_epoch=True, batch_size=len(labels), sync_dist=True)
        return loss

    def _number(self, batch: int) -> int:
        """Of all batches of the fit, the one that this process takes now."""
        accumulate, devices = self.recipe.fit.accumulate, self.trainer.world_size
        found: int = (self.global_step * accumulate + batch % accumulate) * devices + self.trainer.global_rank
        return found

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Follow the trained weights, which a step has changed."""
        if (batch_idx + 1) % self.recipe.fit.accumulate == 0:
            self.averaged.follow(self.network, self.global_step)

    def on_train_epoch_start(self) -> None:
        """Start the clock."""
        self._begun, self._getting, self._images = time.perf_counter(), 0.0, 0

    def on_train_epoch_end(self) -> None:
        """Say how far it is, and how fast; of several processes the first one does."""
        if not self.trainer.is_global_zero:
            return
        found = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        losses = ", ".join(f"{name} {value:.3f}" for name, value in found.items())
        passed = time.perf_counter() - self._begun
        self.progress.say(
            f"  step {self.trainer.global_step} of {self.recipe.fit.steps}, {losses}, "
            f"{self._images * self.trainer.world_size / passed:.0f} images per second, "
            f"{self._getting / passed:.0%} of the time for getting batches"
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out frozen weights: they are built anew, and a large tower would be written every epoch."""
        kept = self._kept()
        state = {name: tensor for name, tensor in checkpoint["state_dict"].items() if name in kept}
        checkpoint["state_dict"] = state

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make sure that only frozen weights are missing.

        Raises:
            ConfigError: the checkpoint is of another network or of another version.
        """
        if checkpoint["state_dict"].keys() != self._kept():
            raise ConfigError(
                f"{self.trainer.ckpt_path}: does not hold what this network trains, another version of "
                "Vestige wrote it; delete it to begin this fit anew"
            )

    def _kept(self) -> set[str]:
        frozen = {
            name
            for name, parameter in self.named_parameters(remove_duplicate=False)
            if not parameter.requires_grad
        }
        return set(self.state_dict()) - frozen

    def configure_optimizers(self) -> Any:
        """AdamW with one cycle; what starts from nothing learns faster than what is tuned."""
        fit = self.recipe.fit
        fresh = self.network.fresh_parameters()
        known = {id(parameter) for parameter in fresh}
        tuned = [p for p in self.network.parameters() if p.requires_grad and id(p) not in known]
        groups = [
            {"params": tuned, "lr": fit.learning_rate},
            {"params": fresh, "lr": fit.fresh_learning_rate},
        ]
        optimiser = torch.optim.AdamW(groups, weight_decay=fit.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, [fit.learning_rate, fit.fresh_learning_rate], total_steps=fit.steps, pct_start=0.1
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def fit(
    network: Network,
    examples: Examples,
    chosen: npt.NDArray[np.bool_],
    recipe: Recipe,
    folder: Path,
    progress: Progress,
) -> None:
    """Train the head on the chosen views, in place. Continues from `folder/last.ckpt` if it is there.

    Args:
        network: with its starting weights; ends in eval mode on the CPU.
        chosen: bool [views of the plan], which views take part.
        folder: for checkpoints.
    """
    draw = Draw(examples, chosen, recipe.fit.batch, recipe.fit_seed)
    last = folder / "last.ckpt"
    if not last.exists():
        network.eval().prepare(draw.batch(PREPARING, number)[0] for number in range(PREPARING_BATCHES))
        if recipe.fit.probe_first:
            logistic.fit_last_layer(network, examples, chosen & ~examples.reconstructed, recipe)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    module = HeadTraining(network, draw, recipe, progress).train()
    with warnings.catch_warnings():
        # A method may keep its batch normalisation in eval mode on purpose.
        warnings.filterwarnings("ignore", message="Found .* module.s. in eval mode")
        # That is what a continued run looks like.
        warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
        # Lightning's own use of a part of PyTorch that is going away.
        warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")
        trainer = _trainer(recipe, folder)
        with told():
            trainer.fit(module, ckpt_path=last if last.exists() else None)
    module.averaged.copy_to(network)
    network.cpu().eval()


def _trainer(recipe: Recipe, folder: Path) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    checkpoint = ModelCheckpoint(
        dirpath=folder, filename="last", enable_version_counter=False, save_on_train_epoch_end=True
    )
    return lightning.Trainer(
        max_epochs=-1,  # steps alone decide
        max_steps=recipe.fit.steps,
        accelerator="auto",
        devices=recipe.fit.devices,
        strategy=strategy(recipe.fit.devices),
        precision=recipe.fit.precision,
        accumulate_grad_batches=recipe.fit.accumulate,
        callbacks=[checkpoint],
        logger=False,
        enable_model_summary=False,
        enable_progress_bar=False,
    )
