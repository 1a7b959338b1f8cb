"""The convex solver: logistic regression on cached features, exact and without a schedule."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression

from vestige.errors import ConfigError
from vestige.methods.base import Network
from vestige.methods.references.probe import LinearProbe
from vestige.progress import Progress
from vestige.training.examples import Examples, batches, embedded
from vestige.training.recipe import Recipe


def fit(
    network: Network,
    examples: Examples,
    chosen: npt.NDArray[np.bool_],
    recipe: Recipe,
    folder: Path,
    progress: Progress,
) -> None:
    """Fit a linear probe to the chosen views, in place.

    Args:
        chosen: bool [views of the plan], which views take part.
        folder, progress: not used, the solver is quick.

    Raises:
        ConfigError: the network is not a linear probe.
    """
    if not isinstance(network, LinearProbe):
        raise ConfigError(f"the logistic solver fits linear probes, not {type(network).__name__}")
    network.prepare(features for features, _ in batches(examples, chosen))
    fit_last_layer(network, examples, chosen, recipe)


def fit_last_layer(
    network: Network, examples: Examples, chosen: npt.NDArray[np.bool_], recipe: Recipe
) -> None:
    """Fit the last layer alone, by logistic regression on what it sees, in place."""
    seen, index = embedded(network, examples, chosen)
    solver = LogisticRegression(C=recipe.fit.inverse_penalty, max_iter=500, random_state=recipe.seed)
    weights = examples.weights[index]
    solver.fit(seen, examples.labels[index], sample_weight=weights / weights.mean())
    with torch.no_grad():
        network.linear.weight.copy_(torch.from_numpy(solver.coef_))
        network.linear.bias.copy_(torch.from_numpy(solver.intercept_))
