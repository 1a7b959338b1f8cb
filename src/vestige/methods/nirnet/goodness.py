"""How well each family describes differences, on pictures that it was not fitted to.

Pooled over pictures, coefficients may be heavy-tailed only because some pictures change more than others: a
Gaussian whose variance differs by picture can be exactly Laplace. So the same is asked once more "within a
picture": each picture's own median in that band is taken off its coefficients, and they are divided by its
own mean distance from it.
"""

from collections.abc import Callable, Iterator, Mapping
from operator import itemgetter
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from vestige.methods.nirnet.bands import Colours, Floats, each_band
from vestige.methods.nirnet.fits import FAMILIES, FLOOR, Family, Fit, Moments, moments

Scope = Literal["pooled", "within picture"]
CHUNK = 1 << 18  # coefficients that are looked at together, which bounds memory

Fits = Mapping[Family, Fit]


class Goodness(BaseModel):
    """Goodness of one family's fit to one generator: one row of a table.

    Attributes:
        scope: of coefficients as they are, or divided by each picture's own scale.
        ks: Kolmogorov-Smirnov distance, 0 to 1, mean over bands and channels.
        worst_ks: the largest of them.
        log_likelihood: mean of a coefficient in nats; scopes have different units.
        shape: beta of the generalised Gaussian, mean over bands and channels: 1 for Laplace, 2 for Gaussian.
        kurtosis: excess kurtosis of the coefficients, whatever the family; mean over bands and channels
            that have energy, 0 if none has. 3 for Laplace, 0 for Gaussian.
        pictures, coefficients: how many were held back to measure this.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    generator: str
    family: Family
    scope: Scope
    ks: float
    worst_ks: float
    log_likelihood: float
    shape: float
    kurtosis: float
    pictures: int
    coefficients: int


def own_scale(coefficients: Floats) -> Floats:
    """Each picture's coefficients of a band, [N, n], in units of its own mean distance from its median."""
    found = coefficients - np.median(coefficients, axis=1, keepdims=True)
    found /= np.maximum(np.mean(np.abs(found), axis=1, keepdims=True), FLOOR)
    return found


# What is done to a band's coefficients [N, n] before they are fitted or looked at.
SCOPES: dict[Scope, Callable[[Floats], Floats]] = {
    "pooled": lambda values: values,
    "within picture": own_scale,
}


def fit_scopes(values: Floats, block: int, colours: Colours) -> dict[Scope, dict[Family, Fit]]:
    """All families fitted to one generator's differences, once for each scope.

    Args:
        values: float [N, H, W, 3], sides multiples of `block`.

    Returns:
        Fits with parameters [block, block, 3].
    """
    found = {scope: np.empty((block, block, 3, len(Moments._fields))) for scope in SCOPES}
    for place, coefficients in each_band(values, block, colours):
        for scope, prepare in SCOPES.items():
            found[scope][place] = moments(prepare(coefficients))
    return {
        scope: {family: kind.of(Moments(*np.moveaxis(arrays, -1, 0))) for family, kind in FAMILIES.items()}
        for scope, arrays in found.items()
    }


def goodness(
    generator: str, fits: Mapping[Scope, Fits], held_back: Floats, block: int, colours: Colours
) -> Iterator[Goodness]:
    """Rows for the scopes and families of the fits.

    Args:
        fits: as `fit_scopes` gives them, of other pictures.
        held_back: float [N, H, W, 3], sides multiples of `block`.
    """
    kurtoses: dict[Scope, list[float]] = {scope: [] for scope in fits}
    agreements: dict[tuple[Scope, Family], list[Agreement]] = {}
    for place, coefficients in each_band(held_back, block, colours):
        for scope, families in fits.items():
            prepared = np.sort(SCOPES[scope](coefficients), axis=None)
            kurtoses[scope] += _kurtosis(prepared)
            for family, fit in families.items():
                of_band = agreement(fit.map(itemgetter(place)), prepared)
                agreements.setdefault((scope, family), []).append(of_band)
    for (scope, family), found in agreements.items():
        yield Goodness(
            generator=generator,
            family=family,
            scope=scope,
            ks=float(np.mean([one.ks for one in found])),
            worst_ks=max(one.ks for one in found),
            log_likelihood=float(np.mean([one.log_likelihood for one in found])),
            shape=fits[scope][family].mean_shape,
            kurtosis=float(np.mean(kurtoses[scope] or [0.0])),
            pictures=len(held_back),
            coefficients=held_back.size,
        )


class Agreement(NamedTuple):
    """Kolmogorov-Smirnov distance, and the mean log-likelihood of a coefficient in nats."""

    ks: float
    log_likelihood: float


def agreement(fit: Fit, ordered: Floats) -> Agreement:
    """How well one distribution describes coefficients in ascending order, [n]."""
    count, distance, total = len(ordered), 0.0, 0.0
    for first in range(0, count, CHUNK):
        part = ordered[first : first + CHUNK]
        below = fit.cdf(part)
        rank: npt.NDArray[np.int64] = np.arange(first, first + len(part))
        above, under = (rank + 1) / count - below, below - rank / count
        distance = max(distance, float(above.max()), float(under.max()))
        total += float(fit.log_density(part).sum())
    return Agreement(distance, total / count)


def _kurtosis(values: Floats) -> list[float]:
    """Excess kurtosis; nothing for a band without energy."""
    distances = np.square(values - np.mean(values, dtype=np.float64))
    variance = np.mean(distances, dtype=np.float64)
    if variance < FLOOR**2:
        return []
    return [float(np.mean(np.square(distances), dtype=np.float64) / variance**2 - 3)]
