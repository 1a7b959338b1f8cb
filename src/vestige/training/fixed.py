"""The solver for training-free methods: there is nothing to fit."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from vestige.methods.base import Network
from vestige.progress import Progress
from vestige.training.examples import Examples
from vestige.training.recipe import Recipe


def fit(
    network: Network,
    examples: Examples,
    chosen: npt.NDArray[np.bool_],
    recipe: Recipe,
    folder: Path,
    progress: Progress,
) -> None:
    """Leave the network as it is."""
    network.eval()
