"""Maps against masks: scikit-learn for the figures, Pillow and SciPy for the resizing."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import map_coordinates
from sklearn import metrics as reference

from vestige.evaluation.metrics import (
    mean_over_pictures,
    pixel_average_precision,
    pixel_f1,
    pixel_iou,
    resize_map,
)

sides = st.integers(1, 6)
HALF = Fraction(1, 2)
LEVELS = [0.0, 0.25, 0.5, 0.5, 0.75, 1.0]


@st.composite
def masks_and_maps(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    shape = draw(sides), draw(sides)
    count = shape[0] * shape[1]
    mask = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    found = draw(st.lists(st.sampled_from(LEVELS), min_size=count, max_size=count))
    return np.array(mask).reshape(shape), np.array(found).reshape(shape)


@given(masks_and_maps(), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_figures_as_scikit_learn_has_them(pair: tuple[np.ndarray, np.ndarray], threshold: float) -> None:
    mask, found = pair
    called = (found >= threshold).ravel()
    if mask.any() and not mask.all():
        expected = reference.average_precision_score(mask.ravel(), found.ravel())
        assert pixel_average_precision(mask, found) == pytest.approx(expected)
    else:
        assert math.isnan(pixel_average_precision(mask, found))
    expected = reference.f1_score(mask.ravel(), called, zero_division=1)
    assert pixel_f1(mask, found, threshold) == pytest.approx(expected)
    expected = reference.jaccard_score(mask.ravel(), called, zero_division=1)
    assert pixel_iou(mask, found, threshold) == pytest.approx(expected)


@given(masks_and_maps())
def test_a_mask_of_numbers_is_a_mask(pair: tuple[np.ndarray, np.ndarray]) -> None:
    mask, found = pair
    for metric in (pixel_f1, pixel_iou):
        assert metric(mask.astype(np.uint8), found.astype(np.float32), 0.5) == metric(mask, found, 0.5)


def test_empty_and_full_masks() -> None:
    nothing, everything, low, high = np.zeros((2, 3)), np.ones((2, 3)), np.full((2, 3), 0.1), np.ones((2, 3))
    half = np.array([[0.9, 0.9, 0.9], [0.1, 0.1, 0.1]])
    assert pixel_f1(nothing, low, 0.5) == pixel_iou(nothing, low, 0.5) == 1
    assert pixel_f1(nothing, half, 0.5) == pixel_iou(nothing, half, 0.5) == 0
    assert pixel_f1(everything, low, 0.5) == pixel_iou(everything, low, 0.5) == 0
    assert pixel_f1(everything, high, 0.5) == pixel_iou(everything, high, 0.5) == 1
    assert pixel_f1(everything, half, 0.5) == pytest.approx(2 / 3)
    assert pixel_iou(everything, half, 0.5) == pytest.approx(1 / 2)
    assert math.isnan(pixel_average_precision(nothing, half))
    assert math.isnan(pixel_average_precision(everything, half))
    assert math.isnan(pixel_f1(nothing, low, math.nan)), "no threshold"


def test_an_inverted_map_gets_what_it_deserves() -> None:
    mask = np.array([[1, 1, 0, 0, 0, 0]])
    right = np.array([[0.9, 0.8, 0.2, 0.2, 0.1, 0.1]])
    assert pixel_average_precision(mask, right) == 1
    assert pixel_average_precision(mask, 1 - right) == pytest.approx((1 / 5 + 2 / 6) / 2)
    assert pixel_f1(mask, 1 - right, 0.5) == 0


def test_what_is_no_mask_or_no_map() -> None:
    mask, found = np.zeros((4, 6)), np.full((4, 6), 0.5)
    every = [
        pixel_average_precision,
        lambda mask, found: pixel_f1(mask, found, 0.5),
        lambda mask, found: pixel_iou(mask, found, 0.5),
    ]
    for metric in every:
        with pytest.raises(ValueError, match=r"mask \(4, 6\) and map \(2, 3\)"):
            metric(mask, found[:2, :3])
        with pytest.raises(ValueError, match="0 and 1 only"):
            metric(mask + 255, found)
        with pytest.raises(ValueError, match="map has nan"):
            metric(mask, found * math.nan)
        with pytest.raises(ValueError, match="no pixels"):
            metric(mask[:0], found[:0])
    for metric in every[1:]:
        with pytest.raises(ValueError, match=r"probabilities in \[0, 1\]"):
            metric(mask, found + 2)
    with pytest.raises(ValueError, match="threshold on probabilities"):
        pixel_f1(mask, found, 2.0)


def test_mean_over_pictures_counts_the_undefined() -> None:
    found = mean_over_pictures([0.5, math.nan, 1.0])
    assert (found.value, found.pictures, found.undefined) == (0.75, 2, 1)
    assert math.isnan(mean_over_pictures([math.nan]).value)
    assert math.isnan(mean_over_pictures([]).value)


@given(sides, sides, st.integers(0, 5), st.integers(0, 5), st.integers(0, 9))
def test_bilinear_enlarging_as_pillow_does(height: int, width: int, down: int, right: int, seed: int) -> None:
    # float32 numbers, which is what Pillow works in.
    source = np.random.default_rng(seed).random((height, width), dtype=np.float32)
    shape = height + down, width + right
    expected = np.asarray(Image.fromarray(source).resize(shape[::-1], Image.Resampling.BILINEAR))
    found = resize_map(source, shape)
    assert found.shape == shape
    np.testing.assert_allclose(found, expected, atol=1e-6)


@given(sides, sides, sides, sides)
def test_nearest_copies_the_pixel_under_the_centre(height: int, width: int, tall: int, wide: int) -> None:
    source = np.arange(height * width, dtype=np.float64).reshape(height, width)
    expected = [
        [
            source[math.floor((i + HALF) * height / tall), math.floor((j + HALF) * width / wide)]
            for j in range(wide)
        ]
        for i in range(tall)
    ]
    assert resize_map(source, (tall, wide), "nearest").tolist() == expected


@given(sides, sides, sides, sides, st.integers(0, 9))
def test_any_size_as_scipy_samples(height: int, width: int, tall: int, wide: int, seed: int) -> None:
    source = np.random.default_rng(seed).random((height, width))
    rows = (np.arange(tall) + 0.5) * height / tall - 0.5
    columns = (np.arange(wide) + 0.5) * width / wide - 0.5
    grid = np.meshgrid(rows, columns, indexing="ij")
    found = resize_map(source, (tall, wide))
    np.testing.assert_allclose(found, map_coordinates(source, grid, order=1, mode="nearest"), atol=1e-12)
    assert source.min() <= found.min()
    assert found.max() <= source.max()


def test_what_cannot_be_resized() -> None:
    for source, shape in (
        (np.zeros((2, 2, 1)), (4, 4)),
        (np.zeros((0, 2)), (4, 4)),
        (np.zeros((2, 2)), (0, 4)),
    ):
        with pytest.raises(ValueError, match=r"cannot be resized to \(.*\(height, width\)"):
            resize_map(source, shape)
    with pytest.raises(ValueError, match="nearest or bilinear, got 'cubic'"):
        resize_map(np.zeros((2, 2)), (4, 4), "cubic")  # type: ignore[arg-type]
