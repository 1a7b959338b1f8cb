"""From view logits to a verdict: pool, calibrate, compare with the abstention band; look at parts."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vestige.errors import ConfigError
from vestige.inference.card import Calibration, FactsView, ModelCard
from vestige.inference.localisation import Parts, part_words, partly_generated
from vestige.results import Evidence, HeatMap, Verdict, ViewScore

FILE_ONLY = "This model looks only at the file (format, size, metadata), not at the picture."


def calibrate(logit: npt.ArrayLike, calibration: Calibration) -> npt.NDArray[np.float64]:
    """Calibrated probability of being generated, in [0, 1]; same shape as `logit`."""
    z = calibration.slope * np.asarray(logit, dtype=np.float64) + calibration.intercept
    # Two branches: exp of a large positive number would overflow.
    small = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + small), small / (1 + small))


def thresholds(
    card: ModelCard, fpr: float | None = None, threshold: float | None = None
) -> tuple[float, float]:
    """The band (low, high) in probability; the user may move its upper edge.

    Args:
        fpr: use the card's operating point at this false positive rate.
        threshold: use this probability.

    Raises:
        ConfigError: both are given, out of range, or the card has no such operating point.
    """
    low, high = card.abstention.low, card.abstention.high
    if fpr is not None and threshold is not None:
        raise ConfigError("give either a threshold or a false positive rate, not both")
    if fpr is not None:
        points = {point.fpr: point.threshold for point in card.operating_points}
        near = next((value for rate, value in points.items() if math.isclose(rate, fpr)), None)
        if near is None:
            known = ", ".join(f"{rate:g}" for rate in sorted(points)) or "none"
            raise ConfigError(
                f"{card.title} has no operating point at a false positive rate of {fpr:g}, only {known}"
            )
        high = near
    if threshold is not None:
        if not 0 <= threshold <= 1:
            raise ConfigError(f"the threshold is a probability between 0 and 1, got {threshold:g}")
        high = threshold
    return min(low, high), high


def judge(
    card: ModelCard,
    views: Sequence[ViewScore],
    band: tuple[float, float],
    side: int,
    heat_map: HeatMap | None = None,
    deviation: float | None = None,
    parts: Parts | None = None,
) -> tuple[Verdict, Evidence]:
    """The verdict on one picture and the evidence behind it.

    A picture that is not fit to be judged (too small, or too unlike the calibration) is inconclusive. Else,
    one whose map shows a generated part is partly generated, whatever the pooled logit says, and views may
    then disagree. Else the pooled logit decides.

    Args:
        views: the scored views, at least one.
        band: (low, high) from `thresholds`.
        side: the shorter side of the picture in pixels.
        deviation: mean over the scored views, for a model that gives one.
        parts: what the maps of the scored views say, for a card with `localisation`.
    """
    logits = np.array([view.logit for view in views], dtype=np.float64)
    pooled = float(logits.mean())
    # In calibrated units, so that it means the same whatever the scale of a model's logits.
    spread = card.calibration.slope * float(logits.std())
    probability = float(calibrate(pooled, card.calibration))
    low, high = band
    reasons = [FILE_ONLY] if isinstance(card.views, FactsView) else []
    unfit = _unfit(card, side, deviation)
    rule = card.localisation
    if rule is not None and parts is not None and not unfit and partly_generated(parts, rule):
        verdict = Verdict.PARTLY_GENERATED
        reasons.append(part_words(parts))
    elif probability >= high:
        verdict = Verdict.LIKELY_GENERATED
    elif probability <= low:
        verdict = Verdict.LIKELY_REAL
    else:
        verdict = Verdict.INCONCLUSIVE
        reasons.append("The score lies in the range in which this model is wrong too often to decide.")
    limit = card.abstention.max_spread
    if limit is not None and spread > limit and verdict is not Verdict.PARTLY_GENERATED:
        verdict = Verdict.INCONCLUSIVE
        reasons.append("Parts of the picture give very different scores.")
    if unfit:
        verdict = Verdict.INCONCLUSIVE
        reasons += unfit
    if not isinstance(card.views, FactsView) and card.views.minimum_side <= side < card.views.size:
        reasons.append(
            f"The picture is smaller than the {card.views.size}-pixel patches that the model looks at."
        )
    evidence = Evidence(
        logit=pooled,
        probability=probability,
        spread=spread,
        deviation=deviation,
        generated_share=None if rule is None or parts is None else parts.share,
        thresholds=(low, high),
        views=list(views),
        heat_map=heat_map,
        reasons=reasons,
        looked_at="file" if isinstance(card.views, FactsView) else "pixels",
    )
    return verdict, evidence


def _unfit(card: ModelCard, side: int, deviation: float | None) -> list[str]:
    """Why a picture is not fit to be judged, whatever its scores are; usually nothing."""
    reasons = []
    limit = card.abstention.max_deviation
    # Written so that a deviation that is no number counts as too large.
    if limit is not None and deviation is not None and not deviation <= limit:
        reasons.append(
            f"The picture is unlike the pictures that this model was calibrated on: its deviation from what "
            f"the model was fitted to is {deviation:.3g}, the limit is {limit:.3g}."
        )
    if side < card.views.minimum_side:
        reasons.append(
            f"The picture is too small to judge: its shorter side has {side} pixels, "
            f"the model needs {card.views.minimum_side}."
        )
    return reasons
