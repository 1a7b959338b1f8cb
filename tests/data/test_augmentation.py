"""The chain of degradations: replayable, bounded, and leaving alone what it should."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from vestige.data.augment import ChainConfig, apply_chain, random_patch

NOTHING = {"resize": 0, "blur": 0, "noise": 0, "jpeg": 0, "webp": 0}
PICTURE = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)


def chained(seed: int = 0, **options: object) -> np.ndarray:
    config = ChainConfig.model_validate(NOTHING | options)
    return apply_chain(PICTURE, config, np.random.default_rng(seed))


def test_nothing_is_nothing() -> None:
    assert np.array_equal(chained(), PICTURE)


def test_same_generator_same_picture() -> None:
    config = ChainConfig()
    for seed in range(20):
        one, other = (apply_chain(PICTURE, config, np.random.default_rng(seed)) for _ in range(2))
        assert np.array_equal(one, other)
        assert one.dtype == np.uint8


def test_resize_stays_in_its_range() -> None:
    sizes = [chained(seed, resize=1, resize_factor=(0.5, 1.0)).shape for seed in range(60)]
    heights = [height for height, _, _ in sizes]
    assert 20 <= min(heights) < 24
    assert 36 < max(heights) <= 40
    assert all(abs(width / height - 56 / 40) < 0.1 for height, width, _ in sizes)


@pytest.mark.parametrize("step", ["blur", "noise", "jpeg", "webp"])
def test_each_step_changes_pixels_and_not_the_size(step: str) -> None:
    found = chained(**{step: 1})
    assert found.shape == PICTURE.shape
    assert not np.array_equal(found, PICTURE)


def test_noise_has_the_strength_asked_for() -> None:
    grey = np.full((200, 200, 3), 128, dtype=np.uint8)
    config = ChainConfig.model_validate(NOTHING | {"noise": 1, "noise_sigma": (4, 4)})
    found = apply_chain(grey, config, np.random.default_rng(0)).astype(float)
    assert abs(found.std() - 4) < 0.1
    assert abs(found.mean() - 128) < 0.1


@pytest.mark.parametrize(
    "options",
    [
        {"jpeg": 0.8, "webp": 0.3},
        {"resize_factor": (1.0, 0.5)},
        {"resize_factor": (0.0, 1.0)},
        {"jpeg_quality": (50, 101)},
        {"blur": 1.5},
        {"sharpen": 1},
    ],
)
def test_impossible_chains_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ChainConfig.model_validate(options)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 150), st.integers(1, 150), st.sampled_from([32, 64, 128]), st.integers(0, 2**32))
def test_patches(height: int, width: int, size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    patch = random_patch(pixels, size, rng)
    side = patch.shape[0]
    assert patch.shape == (side, side, 3)
    assert side % 32 == 0
    assert side == min(size, max(32, min(height, width) // 32 * 32))
    if min(height, width) >= side:
        places = np.lib.stride_tricks.sliding_window_view(pixels, patch.shape)[:, :, 0]
        found = any((places == one).all((2, 3, 4)).any() for one in (patch, patch[:, ::-1]))
        assert found, "a patch is a part of the picture, possibly mirrored"
