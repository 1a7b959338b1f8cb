"""From held-out maps to what a card says of places: calibration, and when a picture is generated in part."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from vestige.inference.card import Calibration, Localisation
from vestige.inference.verdict import calibrate
from vestige.training.calibration import KNOWS_NOTHING
from vestige.training.held_out_maps import HeldOutMaps, Values
from vestige.training.package_recipe import PartSection

HALF = 0.5
MOST = 200_000  # cells that the calibration is fitted to: more change its digits and not its answer
MINIMUM = 100  # untouched pictures of each class, below which the limits would be anybody's guess


def localisation(maps: HeldOutMaps, section: PartSection, description: str) -> Localisation | None:
    """Calibration of map logits and the limits of the verdict "partly generated".

    `threshold` is the lowest probability such that at most `section.fpr` of the untouched real pictures have
    `section.minimum_share` of the cells of all their views at or above it. `maximum_rest` is the largest mean
    probability of the other cells, at most one half, such that at most `section.whole_called_part` of the
    untouched generated pictures are called partly generated.

    Returns:
        None where there are fewer than 100 untouched pictures of a class, no cells of both kinds, or where
        places that are generated do not score higher than others, or real ones as high as can be.
    """
    calibration = _fit(maps, description)
    if calibration is None:
        return None
    probabilities = calibrate(maps.logits, calibration)
    real, whole = (
        maps.of_pictures(probabilities, ~maps.touched & (maps.labels == label)) for label in (0, 1)
    )
    if min(len(real), len(whole)) < MINIMUM:
        return None
    threshold = _threshold(real, section)
    if threshold is None:
        return None
    rest = _maximum_rest(whole, threshold, section)
    return Localisation(
        calibration=calibration,
        threshold=threshold,
        minimum_share=section.minimum_share,
        maximum_share=section.maximum_share,
        maximum_rest=rest,
        fpr=section.fpr,
    )


def _fit(maps: HeldOutMaps, description: str) -> Calibration | None:
    """Platt's sigmoid over cells; untouched views and others weigh the same, and so do both classes."""
    labels = (maps.generated >= HALF).astype(np.int64)
    touched = np.repeat(maps.touched, maps.cells)
    chosen = np.random.default_rng(0).permutation(len(labels))[:MOST]
    labels, touched = labels[chosen], touched[chosen]
    if len(set(labels.tolist())) < 2:
        return None
    weights = np.zeros(len(labels))
    for label in (0, 1):
        for kind in (False, True):
            members = (labels == label) & (touched == kind)
            if members.any():
                weights[members] = 1 / members.sum()
    weights *= len(labels) / weights.sum()
    solver = LogisticRegression(C=1e6).fit(maps.logits[chosen, None], labels, sample_weight=weights)
    slope, intercept = float(solver.coef_[0, 0]), float(solver.intercept_[0])
    if slope <= KNOWS_NOTHING:
        return None
    every = maps.generated >= HALF
    return Calibration(
        slope=slope,
        intercept=intercept,
        data=description,
        real=int((~every).sum()),
        generated=int(every.sum()),
    )


def _threshold(real: list[Values], section: PartSection) -> float | None:
    """Just above what the most suspicious real pictures reach with the smallest part that counts."""
    reached = np.sort([_part_score(one, section.minimum_share) for one in real])[::-1]
    spared = float(reached[int(section.fpr * len(reached) + 1e-9)])
    return float(np.nextafter(spared, 2)) if spared < 1 else None


def _part_score(picture: Values, share: float) -> float:
    """The largest threshold at which `share` of the cells count."""
    count = max(1, int(np.ceil(share * len(picture) - 1e-9)))
    return float(np.sort(picture)[-count])


def _maximum_rest(whole: list[Values], threshold: float, section: PartSection) -> float:
    rests = []
    for picture in whole:
        counted = picture >= threshold
        if section.minimum_share <= counted.mean() <= section.maximum_share and not counted.all():
            rests.append(float(picture[~counted].mean()))
    allowed = int(section.whole_called_part * len(whole) + 1e-9)
    if len(rests) <= allowed:
        return HALF
    # The first that may not be called partly generated any more, lowest rest first.
    return float(min(HALF, max(0.0, np.nextafter(np.sort(rests)[allowed], -1))))
