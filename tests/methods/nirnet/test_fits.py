"""Three families: densities as scipy has them, parameters recovered from samples, degenerate bands."""

import numpy as np
import pytest
from scipy import stats

from vestige.methods.nirnet.fits import (
    FAMILIES,
    FLOOR,
    Family,
    Fit,
    Gaussian,
    Generalised,
    Laplace,
    Moments,
    moments,
)

VALUES = np.array([-50.0, -3.0, -0.4, 0.0, 0.5, 1.25, 2.0, 9.0, 120.0])
CASES = [
    (Laplace(np.float32([0.5]), np.float32([2.0])), stats.laplace(0.5, 2)),
    (Gaussian(np.float32([-1.0]), np.float32([3.0])), stats.norm(-1, 3)),
    (Generalised(np.float32([0.5]), np.float32([2.0]), np.float32([0.5])), stats.gennorm(0.5, 0.5, 2)),
    (Generalised(np.float32([-2.0]), np.float32([4.0]), np.float32([3.0])), stats.gennorm(3, -2, 4)),
]


def name(case: object) -> str:
    return type(case).__name__


@pytest.mark.parametrize(("fit", "reference"), CASES, ids=name)
def test_cdf_and_density_are_scipys(fit: Fit, reference: stats.rv_continuous) -> None:
    np.testing.assert_allclose(fit.cdf(VALUES), reference.cdf(VALUES), rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(fit.log_density(VALUES), reference.logpdf(VALUES), rtol=1e-9)


@pytest.mark.parametrize(("fit", "reference"), CASES, ids=name)
def test_samples_follow_scipys_distribution(fit: Fit, reference: stats.rv_continuous) -> None:
    found = fit.sample(np.random.default_rng(5), (200, 100))
    assert found.shape == (200, 100)
    assert found.dtype == np.float32
    assert stats.kstest(found.ravel(), reference.cdf).pvalue > 0.001


def test_samples_broadcast_and_depend_on_the_generator_alone() -> None:
    fit = Laplace(np.float32([[0, 100, 200]]), np.float32([[1, 2, 3]]))
    one, again, other = (fit.sample(np.random.default_rng(seed), (500, 3)) for seed in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    np.testing.assert_allclose(np.median(one, axis=0), [0, 100, 200], atol=1)


def test_moments_by_hand() -> None:
    found = moments(np.float32([[1, 2], [3, 10]]))
    assert found == Moments(median=2.5, mean=4, absolute=(1.5 + 0.5 + 0.5 + 7.5) / 4, square=59 / 4)


def test_laplace_is_fitted_by_maximum_likelihood() -> None:
    values = stats.laplace(3, 5).rvs(999, random_state=0)
    found = Laplace.of(moments(values))
    location, scale = stats.laplace.fit(values)
    assert found.location == pytest.approx(location, rel=1e-5)
    assert found.scale == pytest.approx(scale, rel=1e-5)


def test_gaussian_is_fitted_by_maximum_likelihood() -> None:
    values = stats.gamma(2).rvs(1000, random_state=0)  # skewed: median and mean differ
    found = Gaussian.of(moments(values))
    location, scale = stats.norm.fit(values)
    assert found.location == pytest.approx(location, rel=1e-5)
    assert found.scale == pytest.approx(scale, rel=1e-5)


@pytest.mark.parametrize("shape", [0.4, 0.6, 1.0, 1.5, 2.0, 4.0])
def test_generalised_matches_the_moments_it_is_given(shape: float) -> None:
    # E|x| and E x^2 integrated by scipy, not by the formula under test.
    exact = stats.gennorm(shape, 0, 3)
    absolute = 2 * exact.expect(lambda x: x, lb=0, epsabs=1e-12)
    found = Generalised.of(Moments(1.5, 1.5, absolute, exact.var()))
    assert found.location == np.float32(1.5)
    assert found.shape == pytest.approx(shape, rel=1e-4)
    assert found.scale == pytest.approx(3, rel=5e-4)


def test_generalised_is_recovered_from_samples() -> None:
    found = Generalised.of(moments(stats.gennorm(0.6, -4, 2).rvs(200_000, random_state=1)))
    assert found.shape == pytest.approx(0.6, abs=0.01)
    assert found.scale == pytest.approx(2, rel=0.05)
    assert found.location == pytest.approx(-4, abs=0.05)


def test_moments_of_no_shape_get_the_nearest() -> None:
    found = Generalised.of(Moments(0.0, 0.0, np.array([1.0, 1.0]), np.array([1.0, 1e9])))
    np.testing.assert_allclose(found.shape, [20, 0.1], rtol=1e-6)
    assert np.isfinite(found.scale).all()
    assert (found.scale > 0).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_band_without_energy_stays_legal(family: Family) -> None:
    found = FAMILIES[family].of(moments(np.full(100, 7.0, np.float32)))
    assert found.location == 7
    assert 0 < found.scale <= 2 * FLOOR
    assert np.isfinite(found.log_density(np.array([7.0, 8.0]))).all()
    np.testing.assert_allclose(found.sample(np.random.default_rng(0), (100,)), 7, atol=0.02)


def test_a_shape_near_the_ends_gives_finite_samples() -> None:
    ends = Generalised(np.float32([0, 0]), np.float32([1, 1]), np.float32([0.1, 20]))
    found = ends.sample(np.random.default_rng(0), (2000, 2))
    assert np.isfinite(found).all()
    assert np.abs(found[:, 1]).max() < 1.5  # nearly uniform between -1 and 1
    assert (np.abs(found[:, 1]) > 0.01).mean() > 0.95


def test_a_blend_is_the_mean_of_locations_and_the_geometric_mean_of_scales() -> None:
    fit = Generalised(np.float32([[0.0], [4.0]]), np.float32([[1.0], [16.0]]), np.float32([[0.5], [2.0]]))
    found = fit.blend(np.array([0.75, 0.25]))
    np.testing.assert_allclose(found.location, [1])
    np.testing.assert_allclose(found.scale, [2], rtol=1e-6)
    np.testing.assert_allclose(found.parameters()["shape"], [0.5**0.75 * 2**0.25], rtol=1e-6)


def test_mean_shapes() -> None:
    one = np.ones(2, np.float32)
    assert Laplace(one, one).mean_shape == 1
    assert Gaussian(one, one).mean_shape == 2
    assert Generalised(one, one, np.float32([0.5, 1.0])).mean_shape == 0.75
