"""Who is accused: the false positive rate source by source of the real pictures, and the worst of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vestige.evaluation.metrics.groups import MINIMUM
from vestige.evaluation.metrics.inputs import Labels, Values, has_probabilities, has_threshold
from vestige.evaluation.metrics.intervals import wilson


@dataclass(frozen=True)
class RealGroup:
    """One source of real pictures at the threshold.

    Attributes:
        name: of the group.
        count: its real pictures.
        accused: how many of them are called generated; 0 where nothing can be decided.
        false_positive_rate: their share; nan where nothing can be decided (no probabilities or no threshold).
        low, high: 95 % Wilson interval of that rate, as if pictures of a source were independent.
    """

    name: str
    count: int
    accused: int
    false_positive_rate: float
    low: float
    high: float

    @property
    def real_accuracy(self) -> float:
        """Share of its pictures that are not called generated."""
        return 1 - self.false_positive_rate

    @property
    def enough(self) -> bool:
        """Whether it may be the worst: at least ten pictures."""
        return self.count >= MINIMUM


def real_groups(
    labels: Labels, probabilities: Values, groups: Sequence[str], threshold: float
) -> list[RealGroup]:
    """Every source of real pictures, in the order of names, also those with few pictures.

    Args:
        labels: int64 [N].
        probabilities: float64 [N] in [0, 1]; at or above the threshold a picture is called generated.
        groups: N names.
        threshold: in [0, 1], from elsewhere than these data.

    Raises:
        ValueError: probabilities or threshold outside [0, 1], lengths differ, or some probabilities are nan.
    """
    if len(groups) != len(labels):
        raise ValueError(f"{len(labels)} labels but {len(groups)} groups; give one group per label")
    given = has_probabilities(labels, probabilities, "real_groups")
    decidable = has_threshold(threshold, "real_groups") and given
    names, real = np.array(groups), labels == 0
    found = []
    for name in sorted(set(names[real].tolist())):
        inside = real & (names == name)
        count = int(inside.sum())
        if not decidable:
            found.append(RealGroup(name, count, 0, float("nan"), float("nan"), float("nan")))
            continue
        accused = int((probabilities[inside] >= threshold).sum())
        found.append(RealGroup(name, count, accused, accused / count, *wilson(accused, count)))
    return found


def worst_real_group(found: Sequence[RealGroup]) -> RealGroup | None:
    """The source with enough pictures whose pictures are accused most often; of equals the first.

    It was picked for being worst: expect somewhat fewer accusations on new pictures of it. None if no source
    has enough pictures and a figure; which those are is told by `RealGroup.enough`.
    """
    able = [group for group in found if group.enough and not np.isnan(group.false_positive_rate)]
    return max(able, key=lambda group: group.false_positive_rate, default=None)
