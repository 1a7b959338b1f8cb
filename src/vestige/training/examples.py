"""Cached features with labels and weights: what the solvers learn from, and scoring of held-out views."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vestige.data.manifest import Row
from vestige.methods.base import Network
from vestige.training.features import Bucket
from vestige.training.recipe import Recipe
from vestige.training.views import View, group_weights

SCORING_BATCH = 64
RECONSTRUCTION = "reconstruction"


@dataclass
class Examples:
    """Views of a plan with what is known of them; arrays have one entry per view.

    Attributes:
        labels: int64, 1 for generated and for reconstructed views, imprinted ones among them.
        weights: float64, how often a view is drawn relative to the others.
        rows: int64, index into the manifest's rows.
        reconstructed: bool.
        groups: text, the source or generator; "reconstruction" for reconstructed views.
    """

    buckets: list[Bucket]
    labels: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    rows: npt.NDArray[np.int64]
    reconstructed: npt.NDArray[np.bool_]
    groups: npt.NDArray[np.str_]


def label_views(recipe: Recipe, rows: list[Row], views: list[View], buckets: list[Bucket]) -> Examples:
    """Labels and weights of all views.

    The label rule is GenSign's (section 3.4): what was generated or reconstructed is 1, untouched real
    pictures are 0. `reconstruction` and `imprinting` take their share from the generated pictures, so that
    both classes keep the same total; `self_augmentation` takes it from each class, as the paper does: more is
    then generated than real.
    """
    index = np.array([view.row for view in views])
    reconstructed = np.array([view.reconstructed for view in views])
    origin = np.array([rows[view.row].label for view in views], dtype=np.int64)
    labels = np.where(reconstructed, 1, origin)
    weights = group_weights(rows)[index]
    made_of_real = recipe.data.reconstruction or recipe.data.imprinting
    if made_of_real is not None:
        _give(weights, labels == 1, reconstructed, made_of_real.share)
    if recipe.data.self_augmentation is not None:
        for label in (0, 1):
            _give(weights, origin == label, reconstructed, recipe.data.self_augmentation.probability)
    groups = np.array([RECONSTRUCTION if view.reconstructed else rows[view.row].group for view in views])
    return Examples(buckets, labels, weights / weights.mean(), index, reconstructed, groups)


def _give(
    weights: npt.NDArray[np.float64],
    members: npt.NDArray[np.bool_],
    reconstructed: npt.NDArray[np.bool_],
    share: float,
) -> None:
    """Shift weight among some views, in place, until the reconstructed ones hold `share` of it."""
    made, original = members & reconstructed, members & ~reconstructed
    if made.any() and original.any():
        total = weights[original].sum()
        weights[original] *= 1 - share
        weights[made] *= share * total / weights[made].sum()


def batches(
    examples: Examples, chosen: npt.NDArray[np.bool_], size: int = SCORING_BATCH
) -> Iterator[tuple[tuple[Tensor, ...], npt.NDArray[np.int64]]]:
    """Features of all chosen views, and their indices in the plan, once through."""
    for bucket in examples.buckets:
        members = np.flatnonzero(chosen[bucket.views])
        for first in range(0, len(members), size):
            part = members[first : first + size]
            yield tensors(bucket, part), bucket.views[part]


def tensors(bucket: Bucket, members: npt.NDArray[np.int64]) -> tuple[Tensor, ...]:
    """Features of some members of a bucket as float32 tensors, images channels last."""
    found = (torch.from_numpy(feature[members]).float() for feature in bucket.features)
    return tuple(
        tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
        for tensor in found
    )


class RowScore(NamedTuple):
    """What a network says of a row of the manifest, mean over its views.

    Attributes:
        row: index into the manifest's rows.
        deviation: None if the network gives none.
    """

    row: int
    logit: float
    deviation: float | None


def score_rows(network: Network, examples: Examples, chosen: npt.NDArray[np.bool_]) -> Iterator[RowScore]:
    """Mean logit and deviation of each row over its chosen views, rows in ascending order."""
    network.eval()
    logits: dict[int, list[float]] = {}
    deviations: dict[int, list[float]] = {}
    with torch.inference_mode():
        for bucket in examples.buckets:
            members = np.flatnonzero(chosen[bucket.views])
            for first in range(0, len(members), SCORING_BATCH):
                part = members[first : first + SCORING_BATCH]
                output = network.head(*tensors(bucket, part))
                rows = examples.rows[bucket.views[part]].tolist()
                for found, values in ((logits, output.logit), (deviations, output.deviation)):
                    if values is not None:
                        for row, value in zip(rows, values.tolist(), strict=True):
                            found.setdefault(row, []).append(value)
    for row in sorted(logits):
        deviation = float(np.mean(deviations[row])) if row in deviations else None
        yield RowScore(row, float(np.mean(logits[row])), deviation)
