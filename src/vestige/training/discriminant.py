"""The discriminant solver: Fisher's direction, with the scatter of sources counted as noise; closed form.

With the standardised features of a view, the mean of each source of a class (its group) and the mean of
the class over its sources,

    direction = (within + b * between + s * mean(diagonal) * I)^-1 (generated - real)

`within` is the scatter of views around the mean of their source, `between` that of sources around the mean
of their class, both averaged over the classes. With one source in each class and s near 0 it is Fisher's
discriminant (1936). What differs from one source to the next within a class - content, camera, generator - is
no evidence of what a source never seen is, and b says how much a direction has to pay for it.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.linalg
import torch
from sklearn.linear_model import LogisticRegression

from vestige.errors import ConfigError
from vestige.methods.base import Network
from vestige.methods.references.probe import LinearProbe
from vestige.progress import Progress
from vestige.training.examples import Examples, batches, embedded
from vestige.training.recipe import Recipe

Floats = npt.NDArray[np.float64]


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
        raise ConfigError(f"the discriminant solver fits linear probes, not {type(network).__name__}")
    network.prepare(features for features, _ in batches(examples, chosen))
    fit_last_layer(network, examples, chosen, recipe)


def fit_last_layer(
    network: Network, examples: Examples, chosen: npt.NDArray[np.bool_], recipe: Recipe
) -> None:
    """Fit the last layer of any network alone, on what it sees, in place."""
    seen, index = embedded(network, examples, chosen)
    labels, weights = examples.labels[index], examples.weights[index]
    options = recipe.fit.discriminant
    found = direction(seen, labels, examples.groups[index], weights, options.between, options.shrinkage)
    # The direction has no scale of its own; a logit has.
    along = (seen @ found)[:, None]
    scale = LogisticRegression(C=1e6).fit(along / along.std(), labels, sample_weight=weights)
    slope = float(scale.coef_[0, 0]) / float(along.std())
    with torch.no_grad():
        network.linear.weight.copy_(torch.from_numpy(slope * found)[None])
        network.linear.bias.fill_(float(scale.intercept_[0]))


def direction(
    seen: npt.NDArray[np.float32],
    labels: npt.NDArray[np.int64],
    groups: npt.NDArray[np.str_],
    weights: Floats,
    between: float,
    shrinkage: float,
) -> Floats:
    """The direction along which generated views lie above real ones.

    Args:
        seen: [N, D], standardised features.
        labels: [N], 0 real, 1 generated; groups: [N], the source of each view.
        weights: [N], at least 0; within a group all views count alike, their sum is what the group counts.
        between: b, the price of scatter between sources, at least 0.
        shrinkage: s, above 0: how much of a sphere is added to the scatter.

    Returns:
        float64 [D], of no particular length.
    """
    width = seen.shape[1]
    # float32 sums of products: the scatter of thousands of features is what takes the time.
    scatter = np.zeros((width, width), dtype=np.float32)
    means = []
    total = float(weights.sum())
    for label in (0, 1):
        centres, shares = [], []
        of_class = float(weights[labels == label].sum())
        for group in np.unique(groups[labels == label]):
            own = (labels == label) & (groups == group)
            share = float(weights[own].sum())
            if share == 0:
                continue
            centre = seen[own].mean(0)
            apart = (seen[own] - centre) * np.sqrt(share / total / own.sum()).astype(np.float32)
            scatter += apart.T @ apart
            centres.append(centre)
            shares.append(share / of_class)
        mean = np.average(centres, axis=0, weights=shares)
        apart = ((centres - mean) * np.sqrt(shares)[:, None]).astype(np.float32)
        scatter += np.float32(between / 2) * (apart.T @ apart)
        means.append(mean.astype(np.float64))
    scatter[np.diag_indices(width)] += np.float32(shrinkage * np.trace(scatter, dtype=np.float64) / width)
    found: Floats = scipy.linalg.solve(
        scatter, (means[1] - means[0]).astype(np.float32), assume_a="pos", overwrite_a=True
    )
    return found.astype(np.float64)
