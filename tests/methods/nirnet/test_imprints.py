"""Imprints: they follow the fitted distributions, weights behave, seeds decide."""

from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import special, stats

from vestige.errors import ConfigError
from vestige.methods.nirnet import imprints
from vestige.methods.nirnet.bands import Colours, to_bands, to_colours
from vestige.methods.nirnet.fits import FAMILIES, Family, Gaussian, Generalised, Laplace
from vestige.methods.nirnet.imprints import Imprinter, ImprintOptions
from vestige.methods.nirnet.simulator import Simulator, SimulatorSettings

FUSIONS: tuple[Literal["dirichlet", "single", "equal"], ...] = ("dirichlet", "single", "equal")
RNG = np.random.default_rng
GREY = np.full((128, 96, 3), 128, np.uint8)


def simulator(
    scales: list[float], block: int = 1, colours: Colours = "rgb", locations: list[float] | None = None
) -> Simulator:
    """A generator for each scale, all bands and channels alike."""
    names = tuple("abcdefgh"[: len(scales)])

    def filled(values: list[float]) -> np.ndarray:
        found = np.empty((len(scales), block, block, 3), np.float32)
        found[:] = np.float32(values)[:, None, None, None]
        return found

    location, scale = filled(locations or [0.0] * len(scales)), filled(scales)
    fits = {
        "laplace": Laplace(location, scale),
        "gaussian": Gaussian(location, scale),
        "generalised": Generalised(location, scale, filled([0.7] * len(scales))),
    }
    counts = (1,) * len(scales)
    return Simulator(names, SimulatorSettings(block=block, colours=colours), fits, counts, counts, ())


def banded(seed: int, block: int, colours: Colours) -> Simulator:
    """One generator with parameters of their own for each band and channel."""
    rng = RNG(seed)
    location = rng.uniform(-2, 2, (1, block, block, 3)).astype(np.float32)
    scale = rng.uniform(3, 7, (1, block, block, 3)).astype(np.float32)
    fits = {
        "laplace": Laplace(location, scale),
        "gaussian": Gaussian(location, scale),
        "generalised": Generalised(location, scale, np.full_like(scale, 0.8)),
    }
    return Simulator(("a",), SimulatorSettings(block=block, colours=colours), fits, (1,), (1,), ())


def reference(found: Simulator, family: Family, place: tuple[int, ...]) -> stats.rv_continuous:
    values = {name: array[(0, *place)] for name, array in found.fits[family].parameters().items()}
    if family == "laplace":
        return stats.laplace(values["location"], values["scale"])
    if family == "gaussian":
        return stats.norm(values["location"], values["scale"])
    return stats.gennorm(values["shape"], values["location"], values["scale"])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("block", "colours"), [(1, "rgb"), (1, "opponent"), (4, "rgb"), (8, "opponent")])
def test_what_is_added_follows_the_fitted_distribution(block: int, colours: Colours, family: Family) -> None:
    known = banded(1, block, colours)
    noise = Imprinter(known, ImprintOptions(family=family)).noise(256, 256, RNG(7))
    bands = to_bands(to_colours(noise.astype(np.float64), colours), block)
    values = [
        stats.kstest(bands[(..., *place)].ravel(), reference(known, family, place).cdf).pvalue
        for place in np.ndindex(block, block, 3)
    ]
    assert min(values) > 0.001 / len(values)
    assert stats.kstest(values, stats.uniform.cdf).pvalue > 0.001  # p-values of what is true are uniform


def test_pixels_of_an_imprinted_picture_follow_the_fitted_distribution() -> None:
    known = banded(2, 1, "rgb")
    picture = np.full((256, 256, 3), 128, np.uint8)
    change = Imprinter(known, ImprintOptions())(picture, RNG(3)).astype(int) - 128
    for channel in range(3):
        levels, counts = np.unique(change[..., channel], return_counts=True)
        # A change of k grey levels is all that is rounded to it.
        exact = reference(known, "laplace", (0, 0, channel)).cdf(levels + 0.5)
        distance = np.abs(np.cumsum(counts) / counts.sum() - exact).max()
        assert special.kolmogorov(distance * 256) > 0.001


def test_bands_of_an_imprinted_picture_follow_the_fitted_distribution() -> None:
    # Rounding adds a variance of 1/12, nothing beside these scales.
    known = banded(4, 8, "opponent")
    picture = np.full((256, 256, 3), 128, np.uint8)
    change = Imprinter(known, ImprintOptions())(picture, RNG(5)) - 128.0
    bands = to_bands(to_colours(change, "opponent"), 8)
    values = [
        stats.kstest(bands[(..., *place)].ravel(), reference(known, "laplace", place).cdf).pvalue
        for place in np.ndindex(8, 8, 3)
    ]
    assert min(values) > 0.001 / len(values)


@pytest.mark.parametrize("mixing", ["mixture", "parameters"])
@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_seeds_decide(family: Family, fusion: str, mixing: str) -> None:
    options = ImprintOptions.model_validate({"family": family, "fusion": fusion, "mixing": mixing})
    imprinter = Imprinter(simulator([1, 4, 9], block=8), options)
    one, again, other = (imprinter(GREY, RNG(seed)) for seed in (1, 1, 2))
    assert one.dtype == np.uint8
    assert one.shape == GREY.shape
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert (GREY == 128).all()


def test_threads_may_share_it() -> None:
    imprinter = Imprinter(simulator([1, 4, 9], block=8), ImprintOptions())
    expected = [imprinter(GREY, RNG(seed)) for seed in range(16)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda seed: imprinter(GREY, RNG(seed)), range(16)))
    assert all(np.array_equal(one, other) for one, other in zip(expected, found, strict=True))


@pytest.mark.parametrize("size", [(1, 1), (7, 9), (8, 16), (33, 20)])
def test_any_size(size: tuple[int, int]) -> None:
    imprinter = Imprinter(simulator([5.0, 2.0], block=8), ImprintOptions())
    noise = imprinter.noise(*size, RNG(0))
    assert noise.shape == (*size, 3)
    assert noise.dtype == np.float32
    assert noise.all()


def test_what_is_brighter_than_white_is_white() -> None:
    imprinter = Imprinter(simulator([1.0], locations=[300.0]), ImprintOptions())
    assert (imprinter(GREY, RNG(0)) == 255).all()
    imprinter = Imprinter(simulator([1.0], locations=[-300.0]), ImprintOptions())
    assert (imprinter(GREY, RNG(0)) == 0).all()


def test_weights_of_each_fusion() -> None:
    known = simulator([1, 2, 3, 4])
    rng = RNG(0)
    drawn = {
        fusion: np.stack([Imprinter(known, ImprintOptions(fusion=fusion)).weights(rng) for _ in range(2000)])
        for fusion in FUSIONS
    }
    for weights in drawn.values():
        np.testing.assert_allclose(weights.sum(1), 1)
        np.testing.assert_allclose(weights.mean(0), 0.25, atol=0.05)
    assert (np.sort(drawn["single"]) == [0, 0, 0, 1]).all()
    assert (drawn["equal"] == 0.25).all()
    # Dirichlet(1, 1, 1, 1): a weight has variance 3 / (16 * 5).
    np.testing.assert_allclose(drawn["dirichlet"].var(0), 3 / 80, rtol=0.15)


def test_concentration_makes_weights_alike() -> None:
    known = simulator([1, 2, 3, 4])
    high, low = (
        Imprinter(known, ImprintOptions(concentration=value)).weights(RNG(0)).max() for value in (1000, 0.001)
    )
    assert high < 0.3
    assert low > 0.99


@pytest.mark.parametrize("mixing", ["mixture", "parameters"])
def test_a_single_generator_is_drawn_for_the_whole_picture(mixing: str) -> None:
    options = ImprintOptions.model_validate({"fusion": "single", "mixing": mixing})
    imprinter = Imprinter(simulator([1.0, 100.0]), options)
    rng = RNG(0)
    scales = np.array([np.abs(imprinter.noise(64, 64, rng)).mean() for _ in range(40)])
    near = np.abs(scales[:, None] / [1.0, 100.0] - 1) < 0.1
    assert (near.sum(1) == 1).all()
    assert near.any(0).all()


@pytest.mark.parametrize("mixing", ["mixture", "parameters"])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_one_generator_has_no_fusion(fusion: str, mixing: str) -> None:
    options = ImprintOptions.model_validate({"generators": ["b"], "fusion": fusion, "mixing": mixing})
    imprinter = Imprinter(simulator([50.0, 4.0]), options)
    assert imprinter.generators == ("b",)
    assert np.array_equal(imprinter.weights(RNG(0)), [1])
    values = imprinter.noise(128, 128, RNG(1))
    assert stats.kstest(values.ravel(), stats.laplace(0, 4).cdf).pvalue > 0.001


@pytest.mark.parametrize("weight", [0.5, 0.1, 0.8])
@pytest.mark.parametrize("block", [1, 8])
def test_a_mixture_has_the_mixtures_distribution(weight: float, block: int) -> None:
    weights, scales = np.array([weight, 1 - weight]), np.array([2.0, 10.0])
    imprinter = Imprinter(simulator([2.0, 10.0], block), ImprintOptions())
    values = to_bands(imprinter.sample(weights, 512, 512, RNG(0)).astype(np.float64), block).ravel()
    assert values.var() == pytest.approx((weights * 2 * scales**2).sum(), rel=0.02)
    exact = stats.laplace(0, scales)
    assert stats.kstest(values, lambda x: exact.cdf(x[:, None]) @ weights).pvalue > 0.001


def test_a_generator_without_weight_is_never_drawn() -> None:
    imprinter = Imprinter(simulator([1.0, 1.0, 1.0], locations=[0.0, 1000.0, 100.0]), ImprintOptions())
    noise = imprinter.sample(np.array([0.5, 0.0, 0.5]), 128, 128, RNG(0))
    assert set(np.unique(np.round(noise, -2) + 0.0)) == {0, 100}


def test_mixed_parameters_are_one_distribution() -> None:
    imprinter = Imprinter(simulator([1.0, 16.0], locations=[0.0, 8.0]), ImprintOptions(mixing="parameters"))
    values = imprinter.sample(np.array([0.75, 0.25]), 128, 128, RNG(0)).ravel()
    assert stats.kstest(values, stats.laplace(2, 2).cdf).pvalue > 0.001


def test_equal_fusion_of_two_has_the_mixtures_variance() -> None:
    imprinter = Imprinter(simulator([3.0, 9.0]), ImprintOptions(fusion="equal"))
    assert imprinter.noise(512, 512, RNG(0)).var() == pytest.approx(0.5 * 2 * 9 + 0.5 * 2 * 81, rel=0.02)


def test_strength_is_drawn_for_each_picture() -> None:
    known, rng = simulator([2.0], locations=[10.0]), RNG(0)
    imprinter = Imprinter(known, ImprintOptions(strength=(0.5, 3.0)))
    found = np.array([imprinter.noise(64, 64, rng) for _ in range(200)])
    strengths = np.median(found, axis=(1, 2, 3)) / 10
    assert stats.kstest(strengths, stats.uniform(0.5, 2.5).cdf).pvalue > 0.001
    scales = np.abs(found - strengths[:, None, None, None] * 10).mean((1, 2, 3))
    np.testing.assert_allclose(scales, strengths * 2, rtol=0.1)


def test_the_key_is_of_all_that_decides_imprints() -> None:
    known = simulator([1.0, 2.0, 3.0])
    key = Imprinter(known, ImprintOptions()).key
    assert key == Imprinter(simulator([1.0, 2.0, 3.0]), ImprintOptions(generators=("a", "b", "c"))).key
    others = [
        Imprinter(known, ImprintOptions.model_validate(changed)).key
        for changed in (
            {"generators": ["a", "b"]},
            {"generators": ["b", "a", "c"]},
            {"fusion": "single"},
            {"concentration": 2},
            {"mixing": "parameters"},
            {"family": "gaussian"},
            {"strength": [1, 2]},
        )
    ]
    others += [
        Imprinter(other, ImprintOptions()).key
        for other in (
            simulator([1.0, 2.0, 3.5]),
            simulator([1.0, 2.0, 3.0], locations=[0.0, 0.0, 1e-3]),
            simulator([1.0, 2.0, 3.0], block=2),
            simulator([1.0, 2.0, 3.0], colours="opponent"),
        )
    ]
    assert len({key, *others}) == 1 + len(others)


def test_generators_that_are_not_known() -> None:
    with pytest.raises(ConfigError, match="'x' is no generator of this simulator; choose among a, b"):
        Imprinter(simulator([1.0, 2.0]), ImprintOptions(generators=("a", "x")))


@pytest.mark.parametrize(
    "wrong",
    [
        {"strength": [2, 1]},
        {"strength": [-1, 1]},
        {"strength": [0, 0]},
        {"strength": [1, float("inf")]},
        {"strength": [float("nan"), 1]},
        {"concentration": 0},
        {"concentration": float("nan")},
        {"generators": []},
        {"fusion": "mean"},
        {"family": "cauchy"},
        {"colour": 1},
    ],
    ids=str,
)
def test_options_are_checked(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        ImprintOptions.model_validate(wrong)


@pytest.mark.parametrize(
    "pixels", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3)), np.zeros((8, 8, 4), np.uint8)]
)
def test_pixels_of_another_kind(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        Imprinter(simulator([1.0]), ImprintOptions())(pixels, RNG(0))


def test_large_pictures_are_drawn_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    imprinter = Imprinter(simulator([3.0, 9.0], block=8), ImprintOptions(generators=("b",)))
    whole = imprinter.noise(100, 90, RNG(1))
    monkeypatch.setattr(imprints, "STRIP", 8 * 96 * 3)
    strips = imprinter.noise(100, 90, RNG(1))
    assert strips.shape == whole.shape
    # The first strip is drawn first, so only what follows is drawn otherwise.
    assert not np.array_equal(strips, whole)
    assert strips[24:].std() == pytest.approx(whole[24:].std(), rel=0.05)
    assert strips[:24].std() == pytest.approx(whole[:24].std(), rel=0.1)
