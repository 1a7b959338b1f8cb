"""Out-of-fold scores of small fixed classifiers, and the AUROC of them with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from vestige.evaluation.audit.findings import Figure

Labels = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

FOLDS, REPEATS = 5, 3
ENOUGH = 5  # groups or source pictures in both classes; with fewer, folds cannot be made of them
PICTURES = 20  # in both classes; with fewer, nothing is measured
DRAWS = 1000


@dataclass(frozen=True)
class Basis:
    """What is kept together in folds and resamples.

    Attributes:
        unit: "group" or "picture" (source picture).
        clusters: one name per picture.
    """

    unit: Literal["group", "picture"]
    clusters: list[str]


def choose_basis(groups: Sequence[str], pictures: Sequence[str], labels: Labels) -> Basis | None:
    """Groups if both classes have `ENOUGH` of them, else source pictures; None if these are too few as well.

    Args:
        groups: group of each picture.
        pictures: source picture of each picture.
        labels: int64 [N].
    """
    if min((labels == 0).sum(), (labels == 1).sum()) < PICTURES:
        return None
    units: tuple[tuple[Literal["group", "picture"], Sequence[str]], ...]
    units = (("group", groups), ("picture", pictures))
    for unit, names in units:
        if (
            min(len({n for n, at in zip(names, labels, strict=True) if at == label}) for label in (0, 1))
            >= ENOUGH
        ):
            return Basis(unit, list(names))
    return None


def out_of_fold(
    features: Values, labels: Labels, clusters: Sequence[str], seed: int, linear: bool = False
) -> Values:
    """Score every picture by classifiers that saw nothing of its cluster.

    A decision tree of depth 4, or logistic regression where the features are many and alike; both weigh the
    classes equally. The mean over `REPEATS` divisions into folds, so that little hangs on one of them.

    Args:
        features: float64 [N, F], without nan.
        clusters: never divided between folds.

    Returns:
        Probabilities of "generated", float64 [N].
    """
    scores = np.zeros(len(labels))
    places = np.unique(clusters, return_inverse=True)[1]
    for repeat in range(REPEATS):
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed + repeat)
        for train, test in folds.split(features, labels, places):
            if len(set(labels[train].tolist())) < 2:
                scores[test] += 0.5
            else:
                model = _classifier(len(train), seed, linear).fit(features[train], labels[train])
                scores[test] += model.predict_proba(features[test])[:, 1]
    return scores / REPEATS


def _classifier(count: int, seed: int, linear: bool) -> Any:
    if linear:
        return make_pipeline(
            StandardScaler(), LogisticRegression(C=0.05, max_iter=500, class_weight="balanced")
        )
    # Boosted trees gave nearly the same figures, with and without a shortcut, in up to ten times the time.
    return DecisionTreeClassifier(
        max_depth=4, min_samples_leaf=max(10, count // 20), class_weight="balanced", random_state=seed
    )


def area(labels: Labels, scores: Values, clusters: Sequence[str], seed: int, draws: int = DRAWS) -> Figure:
    """AUROC, ties counting half, with a percentile bootstrap interval that resamples clusters whole.

    Each class is resampled on its own. Resamples are weights, which for tens of thousands of pictures is
    some hundred times faster than copies.
    """
    rng = np.random.default_rng(seed)
    values, place = np.unique(scores, return_inverse=True)
    members = [np.flatnonzero(labels == label) for label in (0, 1)]
    units = [np.unique(np.asarray(clusters)[part], return_inverse=True)[1] for part in members]

    def weighted(weights: list[Values]) -> float:
        real, generated = (
            np.bincount(place[part], weight, len(values))
            for part, weight in zip(members, weights, strict=True)
        )
        wins = generated @ (np.cumsum(real) - real / 2)
        return float(wins / real.sum() / generated.sum())

    found = []
    for _ in range(draws):
        counts = [
            np.bincount(rng.integers(u.max() + 1, size=u.max() + 1), minlength=u.max() + 1) for u in units
        ]
        found.append(weighted([count[u].astype(np.float64) for count, u in zip(counts, units, strict=True)]))
    low, high = np.quantile(found, [0.025, 0.975])
    return Figure(
        value=round(weighted([np.ones(len(part)) for part in members]), 4),
        low=round(float(low), 4),
        high=round(float(high), 4),
        real=len(members[0]),
        generated=len(members[1]),
    )
