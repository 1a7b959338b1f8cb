"""The convex solver: logistic regression on cached features, exact and without a schedule."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression

from vestige.errors import ConfigError
from vestige.methods.base import Network
from vestige.methods.references.probe import LinearProbe
from vestige.training.examples import Examples
from vestige.training.progress import Progress
from vestige.training.recipe import Recipe


def fit(
    network: Network,
    examples: Examples,
    chosen: npt.NDArray[np.bool_],
    recipe: Recipe,
    folder: Path,
    progress: Progress,
) -> None:
    """Fit the linear layer of a probe to the chosen views, in place.

    Args:
        chosen: bool [views of the plan], which views take part.
        folder, progress: not used, the solver is quick.

    Raises:
        ConfigError: the network is not a linear probe.
    """
    if not isinstance(network, LinearProbe):
        raise ConfigError(f"the logistic solver fits linear probes, not {type(network).__name__}")
    parts, indices = [], []
    for bucket in examples.buckets:
        keep = chosen[bucket.views]
        parts.append(bucket.features[0][keep].astype(np.float32))
        indices.append(bucket.views[keep])
    features, order = np.concatenate(parts), np.concatenate(indices)
    labels, weights = examples.labels[order], examples.weights[order]
    network.prepare([(torch.from_numpy(features),)])
    standardised = network.standardise(torch.from_numpy(features)).numpy()
    solver = LogisticRegression(C=recipe.fit.inverse_penalty, max_iter=500, random_state=recipe.seed)
    solver.fit(standardised, labels, sample_weight=weights)
    with torch.no_grad():
        network.linear.weight.copy_(torch.from_numpy(solver.coef_))
        network.linear.bias.copy_(torch.from_numpy(solver.intercept_))
