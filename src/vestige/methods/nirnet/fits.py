"""Three families of distributions with a location and a scale, and how they are fitted.

A fit holds arrays of parameters, such as one for each band and channel; what it is asked about broadcasts
against them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import gammainc, gammaln, ndtr

from vestige.methods.nirnet.bands import Floats

Family = Literal["laplace", "gaussian", "generalised"]
Parameters = npt.NDArray[np.float32]
# Mean absolute deviation of a band without any energy, in grey levels: far below what rounding leaves.
FLOOR = 1e-3
SHAPES = (0.1, 20.0)  # of the generalised Gaussian; what lies beyond is fitted by the nearer end


class Moments(NamedTuple):
    """What all families are fitted to; floats or arrays of one shape.

    Attributes:
        median, mean: of the coefficients.
        absolute: mean distance from the median.
        square: mean squared distance from the median.
    """

    median: Any
    mean: Any
    absolute: Any
    square: Any


def moments(values: Floats) -> Moments:
    """Moments of all values of an array of any shape, as float64."""
    median, mean = np.median(values), np.mean(values, dtype=np.float64)
    distances = np.abs(values - median)
    absolute = np.mean(distances, dtype=np.float64)
    np.square(distances, out=distances)
    return Moments(np.float64(median), mean, absolute, np.mean(distances, dtype=np.float64))


@dataclass(frozen=True, eq=False)
class Fit(ABC):
    """Distributions of one family.

    Attributes:
        location: float32 of any shape, the distribution's centre.
        scale: float32, the same shape, positive.
    """

    location: Parameters
    scale: Parameters

    @classmethod
    @abstractmethod
    def of(cls, found: Moments) -> "Fit":
        """The fit to moments, one distribution for each of their entries."""

    @abstractmethod
    def cdf(self, values: Floats) -> Floats:
        """Probability of at most each value, float64."""

    @abstractmethod
    def log_density(self, values: Floats) -> Floats:
        """Natural logarithm of the density at each value, float64."""

    @abstractmethod
    def standard(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Parameters:
        """Samples at location 0 and scale 1; parameters broadcast to `shape`."""

    def sample(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Parameters:
        """Independent samples, float32 of the given shape, to which the parameters broadcast."""
        found = self.standard(rng, shape)
        found *= self.scale
        found += self.location
        return found

    @property
    @abstractmethod
    def mean_shape(self) -> float:
        """Shape of the generalised Gaussian that these distributions are, the mean over them."""

    def parameters(self) -> dict[str, Parameters]:
        """The arrays by their names."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def map(self, change: Callable[[Parameters], Parameters]) -> "Fit":
        """The same family with all parameters changed, such as picked or stacked."""
        return type(self)(**{name: change(values) for name, values in self.parameters().items()})

    def blend(self, weights: Floats) -> "Fit":
        """One distribution of the family between several, which lie along the first axis.

        Args:
            weights: float [G], sum 1; the mean of locations, and of the logarithms of scales and shapes.
        """

        def mean(values: Floats) -> Floats:
            return np.tensordot(weights, values.astype(np.float64), 1)

        found = {
            name: mean(values) if name == "location" else np.exp(mean(np.log(values)))
            for name, values in self.parameters().items()
        }
        return type(self)(**{name: values.astype(np.float32) for name, values in found.items()})

    def _standardised(self, values: Floats) -> Floats:
        found: Floats = (np.asarray(values, dtype=np.float64) - self.location) / self.scale
        return found


@dataclass(frozen=True, eq=False)
class Laplace(Fit):
    """Density exp(-|x - location| / scale) / (2 scale)."""

    @classmethod
    def of(cls, found: Moments) -> "Laplace":
        """Maximum likelihood: the median, and the mean distance from it."""
        return cls(_float32(found.median), _float32(np.maximum(found.absolute, FLOOR)))

    @property
    def mean_shape(self) -> float:
        """1."""
        return 1.0

    def cdf(self, values: Floats) -> Floats:
        """Probability of at most each value, float64."""
        z = self._standardised(values)
        return 0.5 - 0.5 * np.sign(z) * np.expm1(-np.abs(z))

    def log_density(self, values: Floats) -> Floats:
        """Natural logarithm of the density at each value, float64."""
        return -np.abs(self._standardised(values)) - np.log(2 * self.scale.astype(np.float64))

    def standard(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Parameters:
        """The difference of two exponential variables is Laplace."""
        found = rng.standard_exponential(shape, dtype=np.float32)
        found -= rng.standard_exponential(shape, dtype=np.float32)
        return found


@dataclass(frozen=True, eq=False)
class Gaussian(Fit):
    """The normal distribution; location is its mean, scale its standard deviation."""

    @classmethod
    def of(cls, found: Moments) -> "Gaussian":
        """Maximum likelihood: mean and standard deviation."""
        variance = np.asarray(found.square) - np.square(np.asarray(found.mean) - found.median)
        return cls(_float32(found.mean), _float32(np.sqrt(np.maximum(variance, 2 * FLOOR**2))))

    @property
    def mean_shape(self) -> float:
        """2."""
        return 2.0

    def cdf(self, values: Floats) -> Floats:
        """Probability of at most each value, float64."""
        below: Floats = ndtr(self._standardised(values))
        return below

    def log_density(self, values: Floats) -> Floats:
        """Natural logarithm of the density at each value, float64."""
        height = np.log(self.scale.astype(np.float64)) + 0.5 * np.log(2 * np.pi)
        found: Floats = -0.5 * np.square(self._standardised(values)) - height
        return found

    def standard(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Parameters:
        """Normal variables."""
        return rng.standard_normal(shape, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Generalised(Fit):
    """The generalised Gaussian: density proportional to exp(-(|x - location| / scale) ** shape).

    The location is the median: the distributions found here are peaked (shapes near 1 or below), where the
    median lies much nearer to the maximum of the likelihood than the mean does; and the Laplace fit, which
    is its case of shape 1, then differs from it by the shape alone.

    Attributes:
        shape: float32, beta within `SHAPES`; 1 is Laplace, 2 Gaussian.
    """

    shape: Parameters

    @classmethod
    def of(cls, found: Moments) -> "Generalised":
        """Moments: E|x| and E x^2 are those found (Mallat, 1989; Sharifi and Leon-Garcia, 1995).

        A band without energy becomes a Laplace distribution of the least scale.
        """
        absolute = np.maximum(found.absolute, FLOOR)
        square = np.maximum(found.square, 2 * FLOOR**2)
        shapes = np.geomspace(*SHAPES, 20001)
        shape = np.interp(np.square(absolute) / square, _moment_ratio(shapes), shapes)
        scale = absolute * np.exp(gammaln(1 / shape) - gammaln(2 / shape))
        return cls(_float32(found.median), _float32(scale), _float32(shape))

    @property
    def mean_shape(self) -> float:
        """Mean of beta."""
        return float(np.mean(self.shape, dtype=np.float64))

    def cdf(self, values: Floats) -> Floats:
        """Probability of at most each value, float64."""
        z = self._standardised(values)
        beta = self.shape.astype(np.float64)
        within: Floats = gammainc(1 / beta, np.abs(z) ** beta)
        return 0.5 + 0.5 * np.sign(z) * within

    def log_density(self, values: Floats) -> Floats:
        """Natural logarithm of the density at each value, float64."""
        beta, scale = self.shape.astype(np.float64), self.scale.astype(np.float64)
        height = np.log(beta) - np.log(2 * scale) - gammaln(1 / beta)
        found: Floats = height - np.abs(self._standardised(values)) ** beta
        return found

    def standard(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Parameters:
        """|x| ** beta has the distribution Gamma(1 / beta)."""
        # float64: gamma variables of a small parameter are too small for float32.
        inverse = 1 / self.shape.astype(np.float64)
        found = (rng.standard_gamma(inverse, shape) ** inverse).astype(np.float32)
        sign: Parameters = 2 * rng.integers(0, 2, shape, dtype=np.int8) - np.float32(1)
        return found * sign


FAMILIES: dict[Family, type[Fit]] = {"laplace": Laplace, "gaussian": Gaussian, "generalised": Generalised}


def _moment_ratio(shape: Floats) -> Floats:
    """(E|x|)^2 / E x^2 of the generalised Gaussian, which grows with its shape."""
    found: Floats = np.exp(2 * gammaln(2 / shape) - gammaln(1 / shape) - gammaln(3 / shape))
    return found


def _float32(values: Any) -> Parameters:
    return np.asarray(values, dtype=np.float32)
