"""The solver for source heads: multinomial logistic regression over all sources, convex, by L-BFGS."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from vestige.errors import ConfigError
from vestige.methods.base import Network
from vestige.methods.source_statistics.model import SourceStatistics
from vestige.progress import Progress
from vestige.training.examples import Examples, batches
from vestige.training.recipe import Recipe

ITERATIONS = 80


def fit(
    network: Network,
    examples: Examples,
    chosen: npt.NDArray[np.bool_],
    recipe: Recipe,
    folder: Path,
    progress: Progress,
) -> None:
    """Fit the last layer to tell the sources of the chosen views apart, in place.

    Reconstructed real pictures are a generator of their own.

    Args:
        chosen: bool [views of the plan], which views take part.
        folder, progress: not used, the solver is quick.

    Raises:
        ConfigError: the network has no source head, or one too small.
    """
    if not isinstance(network, SourceStatistics):
        raise ConfigError(f"the source solver fits source heads, not {type(network).__name__}")
    found = list(batches(examples, chosen))
    index = np.concatenate([views for _, views in found])
    statistics = torch.cat([features[0] for features, _ in found])
    network.standardise.fit(statistics)
    seen = network.eval().embed(statistics)

    keys = [(int(examples.labels[view]), str(examples.groups[view])) for view in index]
    sources = sorted(set(keys))
    network.assign([label == 1 for label, _ in sources])
    row = {source: number for number, source in enumerate(sources)}
    targets = torch.tensor([row[key] for key in keys])
    weights = torch.from_numpy(examples.weights[index] / examples.weights[index].sum()).float()
    weight, bias = _solve(seen, targets, weights, len(sources), recipe.fit.inverse_penalty)
    with torch.no_grad():
        network.linear.weight.zero_()[: len(sources)] = weight
        network.linear.bias.zero_()[: len(sources)] = bias


def _solve(
    seen: Tensor, targets: Tensor, weights: Tensor, count: int, inverse_penalty: float
) -> tuple[Tensor, Tensor]:
    """Minimise the weighted cross-entropy plus |W|^2 / (2 C N).

    Args:
        seen: [N, D]; targets: [N], rows; weights: [N], summing to 1.

    Returns:
        W [count, D] and b [count].
    """
    weight = torch.zeros(count, seen.shape[1], requires_grad=True)
    bias = torch.zeros(count, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=ITERATIONS, history_size=10, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        solver.zero_grad()
        losses = F.cross_entropy(F.linear(seen, weight, bias), targets, reduction="none")
        loss: Tensor = (losses * weights).sum() + (weight**2).sum() / (2 * inverse_penalty * len(seen))
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    solver.step(objective)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()
