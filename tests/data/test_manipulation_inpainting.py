"""Inpainting: flat pictures stay flat, periodic ones go on, networks are asked and heeded."""

import numpy as np
import pytest
import skimage.data
from pydantic import ValidationError

from vestige.data.manipulations import ClassicalInpainting, Inpaint, LearnedInpainting, PatchInpainting
from vestige.data.manipulations.exemplar import fill
from vestige.data.manipulations.inpainting import ClassicalMethod
from vestige.data.masks import MaskOptions, draw_mask
from vestige.errors import ConfigError

PHOTO = skimage.data.astronaut()
SHARP = (0.0, 0.0)


@pytest.mark.parametrize("method", ["telea", "navier-stokes"])
def test_the_hole_of_a_flat_picture_is_filled_with_its_colour(method: ClassicalMethod) -> None:
    host = np.full((48, 64, 3), (10, 120, 230), dtype=np.uint8)
    options = ClassicalInpainting(methods=(method,), feather=SHARP)
    for seed in range(4):
        done = options.apply(host, np.random.default_rng(seed))
        assert done.how["method"] == method
        # OpenCV rounds at every step of the march: the colour drifts by some levels.
        drift = 6 if method == "telea" else 0
        assert np.abs(done.pixels.astype(int) - host).max() <= drift


@pytest.mark.parametrize("method", ["telea", "navier-stokes"])
def test_classical_inpainting_does_not_look_into_the_hole(method: ClassicalMethod) -> None:
    host = np.ascontiguousarray(PHOTO[60:124, 150:214])
    options = ClassicalInpainting(
        methods=(method,), feather=SHARP, mask=MaskOptions(kinds=("ellipse", "blob"))
    )
    for seed in range(6):
        done = options.apply(host, np.random.default_rng(seed))
        other = host.copy()
        other[done.mask] = 255 - other[done.mask]
        assert np.array_equal(options.apply(other, np.random.default_rng(seed)).pixels, done.pixels)
        assert not np.array_equal(done.pixels, host)


@pytest.mark.parametrize("period", [(6, 7), (5, 8)])
def test_patches_continue_a_periodic_texture(period: tuple[int, int]) -> None:
    tile = np.random.default_rng(0).integers(0, 256, (*period, 3), dtype=np.uint8)
    host = np.tile(tile, (15, 15, 1))[:72, :80]
    hole = np.zeros((72, 80), dtype=bool)
    hole[25:47, 30:55] = True
    damaged = host.copy()
    damaged[hole] = 0
    filled, side = fill(damaged, hole, 9, 3.0)
    assert side == 9
    assert np.array_equal(filled, host)


def test_patches_continue_stripes_through_a_large_picture() -> None:
    # Large enough to be matched on a coarser grid, while the pixels are copied one by one.
    stripes = (np.arange(1000) // 4 % 2 * 200).astype(np.uint8)
    host = np.repeat(np.tile(stripes, (600, 1))[..., None], 3, axis=2)
    hole = np.zeros((600, 1000), dtype=bool)
    hole[250:330, 400:500] = True
    damaged = host.copy()
    damaged[hole] = 90
    filled, side = fill(damaged, hole, 9, 3.0)
    assert side % 2 == 0, "cells of two pixels"
    assert set(np.unique(filled)) == {0, 200}, "nothing is mixed"
    assert np.array_equal(filled[~hole], host[~hole])
    assert (filled[hole] == host[hole]).mean() > 0.95


def test_every_pixel_of_a_patch_filling_comes_from_outside_the_hole() -> None:
    # Each pixel has a colour of its own, so it is known where it comes from.
    number = np.arange(90 * 70).reshape(90, 70)
    host = np.stack([number % 256, number // 256, np.zeros_like(number)], axis=2).astype(np.uint8)
    for seed in range(6):
        hole = draw_mask(host, MaskOptions(area=(0.1, 0.8)), np.random.default_rng(seed))
        filled, _ = fill(host, hole, 7, 4.0)
        origin = filled[..., 0].astype(int) + 256 * filled[..., 1].astype(int)
        assert np.array_equal(origin[~hole], number[~hole])
        assert not hole.ravel()[origin[hole]].any()


def test_a_hole_that_leaves_almost_nothing_is_filled() -> None:
    host = np.ascontiguousarray(PHOTO[:40, :40])
    hole = np.ones((40, 40), dtype=bool)
    hole[7, 9] = False
    filled, side = fill(host, hole, 9, 4.0)
    assert side == 1
    assert (filled == host[7, 9]).all()


def test_what_a_network_says_is_taken_inside_the_mask() -> None:
    host = np.ascontiguousarray(PHOTO[:64, 150:214])
    asked = []

    def seven(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
        asked.append((pixels.copy(), mask.copy()))
        return np.full_like(pixels, 7)

    done = LearnedInpainting(feather=(6.0, 6.0)).apply(host, np.random.default_rng(2), None, {"seven": seven})
    pixels, mask = asked[0]
    assert np.array_equal(pixels, host)
    assert mask[done.mask].all()
    assert (done.pixels[done.amount == 1] == 7).all()
    assert 0 < done.amount[mask].min() < 1
    expected = np.rint(host + done.amount.astype(np.float64)[..., None] * (7.0 - host))
    assert np.array_equal(done.pixels, expected)
    assert done.how["network"] == "seven"


def test_networks_are_drawn_from_those_named() -> None:
    host = np.ascontiguousarray(PHOTO[:40, :40])
    networks: dict[str, Inpaint] = {
        name: (lambda pixels, mask, level=level: np.full_like(pixels, level))
        for level, name in enumerate(["a", "b", "c"])
    }

    def drawn(options: LearnedInpainting) -> set[str]:
        done = [options.apply(host, np.random.default_rng(seed), None, networks) for seed in range(20)]
        return {one.how["network"] for one in done}

    assert drawn(LearnedInpainting()) == {"a", "b", "c"}
    assert drawn(LearnedInpainting(networks=("c", "a"))) == {"a", "c"}


def test_missing_networks_are_named() -> None:
    host, rng = np.ascontiguousarray(PHOTO[:40, :40]), np.random.default_rng(0)
    there: dict[str, Inpaint] = {"vae": lambda pixels, mask: pixels}
    with pytest.raises(ConfigError, match=r"names the networks sd, which are missing.*: vae"):
        LearnedInpainting(networks=("vae", "sd")).apply(host, rng, None, there)
    with pytest.raises(ConfigError, match="needs at least one learned network"):
        LearnedInpainting().apply(host, rng, None, {})


def test_impossible_options_are_refused() -> None:
    with pytest.raises(ValidationError, match="must be odd"):
        PatchInpainting(patch=8)
    with pytest.raises(ValidationError, match="range within 1 to 32"):
        ClassicalInpainting(radius=(5, 2))
    with pytest.raises(ValidationError, match="range within 0 to 64"):
        ClassicalInpainting(feather=(-1, 2))
