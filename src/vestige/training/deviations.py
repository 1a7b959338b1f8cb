"""Features of test pictures before and after the attribution module of a trained network."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_model

from vestige.data.manifest import Row, sha256_of
from vestige.errors import ConfigError, DataError
from vestige.methods.attribution.model import Attribution
from vestige.progress import Progress
from vestige.training.examples import SCORING_BATCH, tensors
from vestige.training.features import Precision, features_of
from vestige.training.recipe import Recipe, read_recipe
from vestige.training.run import NETWORK, RECIPE
from vestige.training.scoring import identity, native_patches
from vestige.training.views import read_pixels

Float = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Run:
    """A trained attribution network.

    Attributes:
        name: of its folder; of a fit of an ablation ROW-seed-N.
        place: the same with a slash, as commands show it.
        network: in eval mode.
    """

    name: str
    place: str
    recipe: Recipe
    network: Attribution
    network_sha256: str


@dataclass(frozen=True)
class Deviations:
    """What a network says of pictures, means over the patches of each; N pictures.

    Attributes:
        before: f, the features that the attribution module sees, [N, D].
        after: A(f), [N, D], at least 0.
        logits: [N], positive = generated.
        patches: of all pictures.
    """

    before: Float
    after: Float
    logits: Float
    patches: int

    @property
    def magnitudes(self) -> Float:
        """Mean over features of A(f), [N]: its L1 norm / D."""
        found: Float = self.after.mean(1)
        return found


def open_run(folder: Path) -> Run:
    """The network of a run of `vestige train`, or of a fit of `vestige ablate` (OUT/rows/ROW/seed-N).

    Raises:
        ConfigError: neither, not of the method attribution, or its recipe or network cannot be read.
    """
    whole = folder.resolve()
    own = (whole / RECIPE).exists()
    home = whole if own else whole.parent
    if not (home / RECIPE).exists() or not (whole / NETWORK).exists():
        missing = RECIPE if not (home / RECIPE).exists() else NETWORK
        raise ConfigError(
            f"{folder}: no finished run, {missing} is missing; give the folder of a run of vestige train, or "
            "OUT/rows/ROW/seed-N of an ablation"
        )
    recipe = read_recipe(home / RECIPE)
    method, config = recipe.parts()
    if method.name != "attribution":
        raise ConfigError(
            f"{folder}: a run of {method.name}, which has no attribution module; give one of attribution"
        )
    network = method.build(config, None)
    assert isinstance(network, Attribution)
    try:
        load_model(network, str(whole / NETWORK))
    except Exception as error:  # damaged, or of another recipe: one of many types
        raise ConfigError(
            f"{whole / NETWORK}: cannot be read as the network of {home / RECIPE} ({error})"
        ) from error
    place = whole.name if own else f"{home.name}/{whole.name}"
    return Run(place.replace("/", "-"), place, recipe, network.eval(), sha256_of(whole / NETWORK))


def deviations_of(
    run: Run, rows: Sequence[Row], views: int, cache: Path, precision: Precision, progress: Progress
) -> Deviations:
    """f and A(f) of pictures, each on the patches that `vestige scan` would look at.

    Args:
        views: patches of a picture at most.
        cache: folder of frozen features; the same as an ablation's, if that took as many views.
        precision: in which frozen features are computed where `cache` has none.

    Raises:
        DataError: a picture cannot be read.
    """
    network, size = run.network, run.recipe.data.patch
    buckets = features_of(
        network,
        f"{run.recipe.method} {json.dumps(run.recipe.model, sort_keys=True)}",
        rows,
        [identity(one) for one in rows],
        lambda one: native_patches(read_pixels(one.content(), one.name), size, views),
        f"{views} native patches of {size}",
        cache,
        progress,
        precision,
    )
    width = network.features.width
    before, after = np.zeros((len(rows), width)), np.zeros((len(rows), width))
    logits, patches = np.zeros(len(rows)), np.zeros(len(rows), dtype=np.int64)
    with torch.inference_mode():
        for bucket in buckets:
            for first in range(0, len(bucket.views), SCORING_BATCH):
                part = np.arange(first, min(first + SCORING_BATCH, len(bucket.views)))
                features = network.standardised(*tensors(bucket, part))
                deviations = network.deviations(features)
                owners = bucket.views[part]
                np.add.at(before, owners, features.double().numpy())
                np.add.at(after, owners, deviations.double().numpy())
                np.add.at(logits, owners, network.classify(deviations).double().numpy())
                np.add.at(patches, owners, 1)
    found = before / patches[:, None], after / patches[:, None], logits / patches
    if not all(np.isfinite(one).all() for one in found):
        raise DataError(f"{run.place}: its network gives numbers that are not finite; train it anew")
    return Deviations(*found, int(patches.sum()))
