"""The solver for students: gradients first, then the last layer in closed form on what they made of it."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from vestige.methods.base import Network
from vestige.progress import Progress
from vestige.training import discriminant, gradient
from vestige.training.examples import Examples, batches
from vestige.training.recipe import Recipe


def fit(
    network: Network,
    examples: Examples,
    chosen: npt.NDArray[np.bool_],
    recipe: Recipe,
    folder: Path,
    progress: Progress,
) -> None:
    """Train on the chosen views by gradients, then fit the last layer by the discriminant solver, in place.

    Args:
        chosen: bool [views of the plan], which views take part.
        folder: for checkpoints of the first half; the second takes seconds.
    """
    gradient.fit(network, examples, chosen, recipe, folder, progress)
    network.prepare(features for features, _ in batches(examples, chosen))
    discriminant.fit_last_layer(network, examples, chosen, recipe)
