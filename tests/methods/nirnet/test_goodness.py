"""Goodness of fit: the true family comes first, and what only differs between pictures is told apart."""

import numpy as np
import pytest
from scipy import stats

from vestige.methods.nirnet.bands import from_bands, from_colours
from vestige.methods.nirnet.fits import Family, Laplace
from vestige.methods.nirnet.goodness import Goodness, Scope, agreement, fit_scopes, goodness, own_scale

BLOCK = 8


def differences(distribution: stats.rv_continuous, seed: int, pictures: int = 20) -> np.ndarray:
    """Pictures of 64 x 64 whose bands follow the distribution, with a scale of each band's own."""
    rng = np.random.default_rng(seed)
    scales = np.random.default_rng(99).uniform(1, 8, (BLOCK, BLOCK, 3))
    bands = distribution.rvs((pictures, 8, 8, BLOCK, BLOCK, 3), random_state=rng) * scales
    return from_colours(from_bands(bands), "opponent").astype(np.float32)


def rows_of(fitted: np.ndarray, held_back: np.ndarray, block: int = BLOCK) -> list[Goodness]:
    fits = fit_scopes(fitted, block, "opponent")
    return list(goodness("some", fits, held_back, block, "opponent"))


def by_family(rows: list[Goodness], scope: Scope) -> dict[Family, Goodness]:
    return {row.family: row for row in rows if row.scope == scope}


@pytest.mark.parametrize(
    ("distribution", "family", "shape", "kurtosis"),
    [
        (stats.laplace(), "laplace", 1.0, 3.0),
        (stats.norm(), "gaussian", 2.0, 0.0),
        (stats.gennorm(0.6), "generalised", 0.6, None),
    ],
)
def test_the_true_family_ranks_first(
    distribution: stats.rv_continuous, family: Family, shape: float, kurtosis: float | None
) -> None:
    rows = rows_of(differences(distribution, 0), differences(distribution, 1))
    found = by_family(rows, "pooled")
    assert max(found.values(), key=lambda row: row.log_likelihood).family == family
    assert min(found.values(), key=lambda row: row.ks).family == family
    assert found["generalised"].shape == pytest.approx(shape, rel=0.1)
    # The mean of scipy's entropy over bands is what the true family can reach.
    scales = np.random.default_rng(99).uniform(1, 8, (BLOCK, BLOCK, 3))
    reachable = -(distribution.entropy() + np.log(scales)).mean()
    assert found[family].log_likelihood == pytest.approx(reachable, abs=0.02)
    if kurtosis is not None:
        assert found[family].kurtosis == pytest.approx(kurtosis, abs=0.2)
    count = 20 * 64 * 64 * 3
    assert all(row.pictures == 20 and row.coefficients == count and row.ks <= row.worst_ks for row in rows)


def test_laplace_only_because_pictures_differ() -> None:
    # A Gaussian whose variance is exponential between pictures is Laplace: 2 b^2 times an exponential.
    rng = np.random.default_rng(2)

    def pictures(count: int) -> np.ndarray:
        variances = 2 * 4**2 * rng.exponential(size=(count, 1, 1, 1))
        return (rng.normal(size=(count, 16, 16, 3)) * np.sqrt(variances)).astype(np.float32)

    rows = rows_of(pictures(1500), pictures(1500), block=1)
    pooled, within = by_family(rows, "pooled"), by_family(rows, "within picture")
    assert pooled["laplace"].ks < 0.03 < pooled["gaussian"].ks
    assert pooled["laplace"].log_likelihood > pooled["gaussian"].log_likelihood
    assert pooled["generalised"].shape == pytest.approx(1, abs=0.1)
    assert within["gaussian"].ks < 0.01 < 0.03 < within["laplace"].ks
    assert within["gaussian"].log_likelihood > within["laplace"].log_likelihood
    assert within["generalised"].shape == pytest.approx(2, abs=0.1)


def test_within_a_picture_location_and_scale_are_its_own() -> None:
    values = np.array([[1.0, 2.0, 3.0, 4.0, 5.0], [70.0, 80.0, 90.0, 100.0, 110.0], [7.0] * 5])
    expected = np.array([-2, -1, 0, 1, 2]) / 1.2
    np.testing.assert_allclose(own_scale(values), [expected, expected, [0] * 5])
    assert values[0, 0] == 1


def test_distance_is_scipys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vestige.methods.nirnet.goodness.CHUNK", 64)  # several chunks and a part of one
    values = np.sort(stats.norm(0.5).rvs(1000, random_state=0))
    found = agreement(Laplace(np.float32(0.25), np.float32(1.5)), values)
    assert found.ks == pytest.approx(stats.kstest(values, stats.laplace(0.25, 1.5).cdf).statistic)
    assert found.log_likelihood == pytest.approx(stats.laplace(0.25, 1.5).logpdf(values).mean())


def test_bands_without_energy_have_finite_rows() -> None:
    rows = rows_of(np.zeros((2, 8, 8, 3), np.float32), np.zeros((3, 8, 8, 3), np.float32))
    assert len(rows) == 6
    for row in rows:
        assert row.kurtosis == 0
        assert all(np.isfinite(value) for value in (row.ks, row.worst_ks, row.log_likelihood, row.shape))


def test_only_what_was_fitted_is_asked() -> None:
    values = stats.laplace().rvs((2, 8, 8, 3), random_state=0)
    fits = fit_scopes(values, 1, "rgb")
    alone = list(goodness("some", {"pooled": {"laplace": fits["pooled"]["laplace"]}}, values, 1, "rgb"))
    both = list(goodness("some", fits, values, 1, "rgb"))
    assert alone == [row for row in both if (row.scope, row.family) == ("pooled", "laplace")]


def test_kurtosis_is_that_of_the_bands() -> None:
    values = stats.gennorm(0.6).rvs((4, 32, 32, 3), random_state=3)
    fits = fit_scopes(values, 1, "rgb")
    found = next(goodness("some", fits, values, 1, "rgb")).kurtosis
    assert found == pytest.approx(stats.kurtosis(values.reshape(-1, 3), axis=0).mean())
