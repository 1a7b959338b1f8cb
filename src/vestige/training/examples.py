"""Cached features with labels and weights: what the solvers learn from, and scoring of held-out views."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vestige.data.labelled import Labelled
from vestige.data.manifest import Row
from vestige.methods.base import Network
from vestige.training.features import Bucket
from vestige.training.recipe import Recipe
from vestige.training.truth import GENERATED, Truth
from vestige.training.views import View, group_weights

SCORING_BATCH = 64
RECONSTRUCTION, MANIPULATION = "reconstruction", "manipulation"
PARTLY = 0.02  # share of generated pixels from which on a view of a picture with a mask counts as generated


@dataclass
class Examples:
    """Views of a plan with what is known of them; arrays have one entry per view.

    Attributes:
        labels: int64, 1 for generated and for reconstructed views, imprinted ones among them. Views of
            pictures with masks are labelled by what they show: from 2 % generated pixels on generated,
            without any real.
        weights: float64, how often a view is drawn relative to the others.
        rows: int64, index into the manifest's rows.
        reconstructed: bool, whether it shows what was made of a picture: manipulated ones, too.
        groups: text, the source or generator; "reconstruction" for reconstructed views, "reconstruction by
            NAME" where the recipe lists reconstructors, "manipulation" for manipulated ones.
        donors: int64, index of the row whose pixels a manipulated view holds, too; -1: no other's.
        touched: bool, whether it shows anything but an untouched picture: what was made of one, or a picture
            that comes with masks.
        origins: int64, label of the picture that a view was made of.
        truth: what is known of the pixels (see `vestige.training.truth`), an array for each bucket; empty if
            nobody asked.
    """

    buckets: list[Bucket]
    labels: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    rows: npt.NDArray[np.int64]
    reconstructed: npt.NDArray[np.bool_]
    groups: npt.NDArray[np.str_]
    donors: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    touched: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, np.bool_))
    origins: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    truth: Sequence[Truth] = ()

    def of_rows(self, kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Which views show pixels of these rows and of no others: bool [rows] -> bool [views]."""
        found = kept[self.rows]
        if len(self.donors):
            found = found & ((self.donors < 0) | kept[self.donors])
        return found


def label_views(
    recipe: Recipe,
    rows: list[Row],
    views: list[View],
    buckets: list[Bucket],
    labelled: Sequence[Labelled] = (),
    truth: Sequence[Truth] = (),
    makers: Mapping[int, str] | None = None,
) -> Examples:
    """Labels and weights of all views.

    The label rule is GenSign's (section 3.4): what was generated or reconstructed is 1, untouched real
    pictures are 0. `reconstruction` and `imprinting` take their share from the generated pictures, so that
    both classes keep the same total; `self_augmentation` takes it from each class, as the paper does: more is
    then generated than real. Manipulated views take their share from each class, too. A view with masks that
    shows a sliver of generated pixels, above none and below 2 %, is never drawn.

    Args:
        labelled: manipulated pictures, as the views count them.
        truth: of each bucket; needed where there are manipulated views.
        makers: of a row, the reconstructor that made what its reconstructed views show; each is then a group
            of its own, and they hold their share of the weight as they hold views.
    """
    index = np.array([view.row for view in views])
    reconstructed = np.array([view.reconstructed for view in views])
    origin = np.array([rows[view.row].label for view in views], dtype=np.int64)
    manipulated = np.array([view.manipulated is not None for view in views])
    touched = np.array([view.reconstructed or _comes_with_masks(rows[view.row]) for view in views])
    labels = np.where(reconstructed, 1, origin)
    weights = group_weights(rows)[index]
    if truth:
        masked = manipulated | np.array(
            [not view.reconstructed and rows[view.row].mask is not None for view in views]
        )
        share = _generated_share(buckets, truth, len(views))
        labels = np.where(masked, (share >= PARTLY).astype(np.int64), labels)
        weights = np.where(masked & (share > 0) & (share < PARTLY), 0.0, weights)
    made_of_real = recipe.data.reconstruction or recipe.data.imprinting
    if made_of_real is not None:
        _give(weights, labels == 1, reconstructed, made_of_real.share)
    if recipe.data.self_augmentation is not None:
        for label in (0, 1):
            _give(weights, origin == label, reconstructed, recipe.data.self_augmentation.probability)
    if recipe.data.manipulation is not None:
        for label in (0, 1):
            _give(weights, labels == label, manipulated, recipe.data.manipulation.share)
    return Examples(
        buckets,
        labels,
        weights / weights.mean(),
        index,
        reconstructed,
        np.array([_group_of(view, rows, makers or {}) for view in views]),
        np.array([_donor_of(view, labelled) for view in views], dtype=np.int64),
        touched,
        origin,
        truth,
    )


def with_truth(examples: Examples) -> Examples:
    """The same with the truth as the last feature, for networks that learn from it."""
    buckets = [
        replace(bucket, features=[*bucket.features, truth])
        for bucket, truth in zip(examples.buckets, examples.truth, strict=True)
    ]
    return replace(examples, buckets=buckets)


def _comes_with_masks(row: Row) -> bool:
    return bool(row.mask or row.changed or row.manipulation)


def _group_of(view: View, rows: list[Row], makers: Mapping[int, str]) -> str:
    if view.manipulated is not None:
        return MANIPULATION
    if not view.reconstructed:
        return rows[view.row].group
    return f"{RECONSTRUCTION} by {makers[view.row]}" if view.row in makers else RECONSTRUCTION


def _donor_of(view: View, labelled: Sequence[Labelled]) -> int:
    donor = None if view.manipulated is None else labelled[view.manipulated].donor
    return -1 if donor is None else donor


def _generated_share(
    buckets: Sequence[Bucket], truth: Sequence[Truth], views: int
) -> npt.NDArray[np.float64]:
    """Of each view, in [0, 1]."""
    found = np.zeros(views)
    for bucket, known in zip(buckets, truth, strict=True):
        found[bucket.views] = known[:, GENERATED].mean((1, 2), dtype=np.float64)
    return found


def _give(
    weights: npt.NDArray[np.float64],
    members: npt.NDArray[np.bool_],
    reconstructed: npt.NDArray[np.bool_],
    share: float,
) -> None:
    """Shift weight among some views, in place, until the reconstructed ones hold `share` of it."""
    drawn = members & (weights > 0)
    made, original = drawn & reconstructed, drawn & ~reconstructed
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


def embedded(
    network: Network, examples: Examples, chosen: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """What the last layer sees of all chosen views, [N, D], and their indices in the plan; in eval mode."""
    network.eval()
    parts, order = [], []
    with torch.inference_mode():
        for features, views in batches(examples, chosen):
            parts.append(network.embed(*features).numpy())
            order.append(views)
    return np.concatenate(parts), np.concatenate(order)


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
