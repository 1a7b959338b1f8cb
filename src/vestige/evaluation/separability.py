"""How far real and generated pictures lie apart in a space of features (He et al., 2026, Fig. 2e).

The paper names inter-class distance, intra-class variance and Fisher's ratio without formulas. Ours:

- distance: Euclidean distance between the means of the two classes;
- variance of a class: mean over its pictures of the squared Euclidean distance to the class's mean;
- Fisher's ratio: squared distance / (variance of real + variance of generated).

Distance and variances are in the units of the features: of two spaces with different units they cannot be
compared. The ratio has no unit; it stays the same when a space is moved, scaled or turned.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vestige.evaluation.metrics import Indices, Labels, Values
from vestige.evaluation.metrics.intervals import bounds

BLOCK = 64  # draws that are summed up at once: what they need of memory at most
ROUNDING = 1e-12  # of the mean squared length: a smaller variance is none


@dataclass(frozen=True)
class Separation:
    """The measures of one sample or of several, float64 [B] each; nan where a class is missing.

    Attributes:
        distance: between the classes' means, at least 0.
        real, generated: variance of each class, at least 0.
    """

    distance: Values
    real: Values
    generated: Values

    @property
    def variance(self) -> Values:
        """Mean of both classes' variances."""
        return (self.real + self.generated) / 2

    @property
    def fisher(self) -> Values:
        """Fisher's ratio; nan where neither class varies."""
        spread = self.real + self.generated
        return np.divide(self.distance**2, spread, out=np.full_like(spread, np.nan), where=spread > 0)

    def measures(self) -> dict[str, Values]:
        """Name -> values, in the order of tables."""
        return {
            "distance": self.distance,
            "variance, real": self.real,
            "variance, generated": self.generated,
            "variance": self.variance,
            "fisher": self.fisher,
        }


@dataclass(frozen=True)
class Estimate:
    """A measure with its 95 % interval, both bounds reflected (the basic bootstrap).

    The means of the classes are known up to noise, and noise between two means counts as distance: the
    fewer groups, the more. A resample holds that noise twice, so that resamples lie too high by about as much
    as the measure itself does. The interval is therefore that of 2 x measure - resample: where the measure of
    endlessly many groups would be. It may lie below the measure.

    Attributes:
        value: as it is, noise included.
        low: at least 0; nan where there is no interval.
        high: the same; infinite where a ratio may have no bound.
        noise: median of the resamples - value: about how much of the value is noise; nan for a ratio.
    """

    value: float
    low: float
    high: float
    noise: float


def separation(features: npt.NDArray[np.floating], labels: Labels) -> Separation:
    """The measures of a sample.

    Args:
        features: [N, D].
        labels: int64 [N], 0 real, 1 generated.

    Returns:
        Arrays of one entry.
    """
    return _separations(features, labels, np.ones((1, len(labels))))


def resampled(features: npt.NDArray[np.floating], labels: Labels, draws: Sequence[Indices]) -> Separation:
    """The measures of each draw, from `vestige.evaluation.metrics.draws`; arrays [len(draws)]."""
    parts = []
    for first in range(0, len(draws), BLOCK):
        counts = [np.bincount(index, minlength=len(labels)) for index in draws[first : first + BLOCK]]
        parts.append(_separations(features, labels, np.array(counts, dtype=np.float64)))
    if not parts:
        nothing = np.empty(0)
        return Separation(nothing, nothing, nothing)
    return Separation(*(np.concatenate([getattr(one, name) for one in parts]) for name in _FIELDS))


def estimates(found: Separation, drawn: Separation) -> dict[str, Estimate]:
    """Measure -> value and interval.

    Args:
        found: of the sample.
        drawn: of its draws.
    """
    values, resamples, corrected = found.measures(), drawn.measures(), _reflected(found, drawn)
    return {
        name: Estimate(
            float(values[name][0]),
            *bounds(corrected[name]),
            noise=float(np.median(some)) - float(values[name][0]) if len(some) else float("nan"),
        )
        for name, some in resamples.items()
    }


def changes(
    before: Separation, after: Separation, before_drawn: Separation, after_drawn: Separation
) -> dict[str, Estimate]:
    """Measure -> after / before, with the interval of the ratio of what is left of both without noise.

    Args:
        before_drawn, after_drawn: of the same draws.
    """
    first, second = _reflected(before, before_drawn), _reflected(after, after_drawn)
    found = {}
    for name, value in before.measures().items():
        ratio = _ratio(after.measures()[name], value)[0]
        drawn = _ratio(second[name], first[name])
        # Where both may be 0 their ratio may be anything.
        low, high = np.where(np.isnan(drawn), 0, drawn), np.where(np.isnan(drawn), np.inf, drawn)
        ends = (_order(low, 0.025), _order(high, 0.975)) if len(drawn) else (np.nan, np.nan)
        found[name] = Estimate(float(ratio), *ends, noise=float("nan"))
    return found


def _reflected(found: Separation, drawn: Separation) -> dict[str, Values]:
    """Each measure of each draw, 2 x measure - resample and at least 0; distances by their squares."""
    kept = {}
    for name, some in drawn.measures().items():
        power = 2 if name == "distance" else 1
        value = found.measures()[name] ** power
        kept[name] = np.maximum(2 * value - some**power, 0) ** (1 / power)
    return kept


def _ratio(after: Values, before: Values) -> Values:
    """nan for 0 / 0, else infinite where there was nothing before."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(after / before)


def _order(values: Values, share: float) -> float:
    """A quantile that is one of the values: between two infinite ones nothing can be interpolated."""
    return float(np.quantile(values, share, method="inverted_cdf"))


_FIELDS = ("distance", "real", "generated")


def _separations(features: npt.NDArray[np.floating], labels: Labels, counts: Values) -> Separation:
    """The measures of B samples; `counts` [B, N] says how often a picture is in each."""
    if features.ndim != 2 or len(features) != len(labels):
        raise ValueError(f"{len(labels)} labels but features {features.shape}; give one row per label")
    # Means of squares lose digits far from the origin; nothing here depends on where it is.
    centred = np.asarray(features, dtype=np.float64)
    centred = centred - centred.mean(0)
    squares = (centred**2).sum(1)
    means, variances = [], []
    for label in (0, 1):
        inside = labels == label
        weights = counts[:, inside]
        sizes = weights.sum(1)
        with np.errstate(invalid="ignore"):  # 0 / 0 where a sample has none of the class
            mean = weights @ centred[inside] / sizes[:, None]
            length = weights @ squares[inside] / sizes
        variance = length - (mean**2).sum(1)
        means.append(mean)
        variances.append(np.where(variance <= ROUNDING * length, 0.0, variance))
    distance = np.sqrt(((means[1] - means[0]) ** 2).sum(1))
    return Separation(distance, *variances)
