"""Copy-move and splicing: where the new content comes from, and what becomes of its colours."""

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from vestige.data.manipulations import CopyMove, Pixels, Splicing
from vestige.data.manipulations.seamless import membrane, seamless
from vestige.data.masks import MaskOptions, draw_mask
from vestige.errors import ConfigError

PHOTO = skimage.data.astronaut()
COFFEE = skimage.data.coffee()
SHARP = (0.0, 0.0)


def numbered(height: int, width: int) -> Pixels:
    """A picture whose pixels say where they are: (row, column, 0)."""
    return np.stack([*np.indices((height, width)), np.zeros((height, width))], axis=2).astype(np.uint8)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(32, 120), st.integers(32, 120))
def test_a_plain_copy_shows_what_is_at_the_offset(seed: int, height: int, width: int) -> None:
    host = numbered(height, width)
    options = CopyMove(flip=0, turn=0, resize=0, feather=SHARP)
    done = options.apply(host, np.random.default_rng(seed))
    dy, dx = done.how["offset"]
    y, x = np.nonzero(done.mask)
    assert np.array_equal(done.pixels[y, x], host[y + dy, x + dx]), "from inside the picture"
    assert max(abs(dy), abs(dx)) >= min(16, min(height, width) // 3)
    overlap = np.isin((y + dy) * width + x + dx, y * width + x).mean()
    assert done.how["overlap"] == pytest.approx(overlap)


def test_copies_rarely_overlap_what_they_show() -> None:
    host = np.ascontiguousarray(PHOTO[:128, 100:228])
    overlaps = [CopyMove().apply(host, np.random.default_rng(seed)).how["overlap"] for seed in range(30)]
    assert np.mean([overlap <= 0.1 for overlap in overlaps]) > 0.9
    assert max(overlaps) < 0.5


def test_a_flipped_copy_is_a_mirror_image_around_the_middle() -> None:
    host = np.ascontiguousarray(PHOTO[:96, 100:200])
    options = CopyMove(flip=1, turn=0, resize=0, feather=SHARP)
    for seed in range(5):
        done = options.apply(host, np.random.default_rng(seed))
        (dy, dx), (y, x) = done.how["offset"], np.nonzero(done.mask)
        assert done.how["flip"]
        assert np.array_equal(done.pixels[y, x], host[y + dy, x.min() + x.max() - x + dx])


def test_a_copy_is_turned_clockwise_and_enlarged() -> None:
    # A picture that grows evenly to the right and downwards, so that any linear map of it is known.
    y, x = np.indices((100, 100))
    host = np.stack([2 * x, 2 * y, np.zeros_like(x)], axis=2).astype(np.uint8)
    small = MaskOptions(kinds=("ellipse",), area=(0.02, 0.02))
    seen = 0
    for seed in range(10):
        options = CopyMove(flip=0, turn=1, degrees=15, resize=1, feather=SHARP, mask=small)
        done = options.apply(host, np.random.default_rng(seed))
        (dy, dx), rows, columns = done.how["offset"], *np.nonzero(done.mask)
        middle_y, middle_x = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
        if min(middle_y + dy, middle_x + dx) < 15 or max(middle_y + dy, middle_x + dx) > 85:
            continue  # the turned source leaves the picture
        seen += 1
        step = (columns - middle_x + 1j * (middle_y - rows)) / done.how["scale"]
        # Content turned clockwise: a point shows what was at the point turned back, counterclockwise.
        step = step * np.exp(1j * np.radians(done.how["degrees"]))
        assert np.abs(done.pixels[rows, columns, 0] - 2 * (middle_x + dx + step.real)).max() <= 1.5
        assert np.abs(done.pixels[rows, columns, 1] - 2 * (middle_y + dy - step.imag)).max() <= 1.5
    assert seen >= 3


def test_a_region_from_edge_to_edge_still_moves() -> None:
    host = numbered(64, 80)
    options = CopyMove(flip=0, turn=0, resize=0, feather=SHARP, mask=MaskOptions(area=(0.85, 0.9)))
    for seed in range(6):
        done = options.apply(host, np.random.default_rng(seed))
        (dy, dx), (y, x) = done.how["offset"], np.nonzero(done.mask)
        assert np.array_equal(done.pixels[y, x], host[y + dy, x + dx])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(32, 90), st.integers(32, 90))
def test_pasted_content_is_the_donors(seed: int, height: int, width: int) -> None:
    host = np.full((height, width, 3), 200, dtype=np.uint8)
    donor = numbered(100, 110)
    done = Splicing(blendings=("paste",), feather=SHARP).apply(host, np.random.default_rng(seed), donor)
    assert done.how["scale"] == 1
    y, x = np.nonzero(done.mask)
    top, left = max(0, y.min() - 1), max(0, x.min() - 1)
    rows, columns = y - top + done.how["corner"][0], x - left + done.how["corner"][1]
    assert np.array_equal(done.pixels[y, x], donor[rows, columns])


def test_a_flat_donor_of_any_size_gives_its_colour() -> None:
    host = np.ascontiguousarray(PHOTO[:80, 100:200])
    for size in [(5, 9), (40, 300), (500, 500)]:
        donor = np.full((*size, 3), (1, 2, 250), dtype=np.uint8)
        options = Splicing(blendings=("paste",), feather=(3.0, 3.0))
        done = options.apply(host, np.random.default_rng(1), donor)
        assert (done.pixels[done.amount == 1] == (1, 2, 250)).all()
        expected = np.rint(
            host + done.amount[..., None].astype(np.float64) * (donor[0, 0] - host.astype(float))
        )
        assert np.array_equal(done.pixels, expected)
        assert done.how["scale"] >= 1


def test_matched_colours_have_the_mean_of_the_surroundings() -> None:
    rng = np.random.default_rng(0)
    host = np.clip(rng.normal((60, 90, 120), 10, (96, 96, 3)), 0, 255).astype(np.uint8)
    donor = np.clip(rng.normal((180, 160, 60), 15, (96, 96, 3)), 0, 255).astype(np.uint8)
    options = Splicing(blendings=("colour",), feather=SHARP, mask=MaskOptions(area=(0.1, 0.3)))
    done = options.apply(host, rng, donor)
    inside = done.pixels[done.mask]
    assert np.allclose(inside.mean(axis=0), (60, 90, 120), atol=2)
    assert np.allclose(inside.std(axis=0), 10, atol=1.5)


def test_seamless_content_from_a_shifted_copy_of_the_host_is_the_host() -> None:
    # The donor differs from the host by constants only, which the membrane takes away altogether.
    host = (np.clip(PHOTO[100:180, 120:220], 60, 180)).astype(np.uint8)
    new = host + np.array([30, 20, 10], dtype=np.uint8)
    for seed in range(3):
        mask = draw_mask(host, MaskOptions(area=(0.05, 0.2)), np.random.default_rng(seed))
        assert np.abs(seamless(host, new, mask).astype(int) - host).max() <= 1


def test_seamless_content_keeps_its_gradients_and_meets_the_edge() -> None:
    host = np.full((60, 60, 3), 100, dtype=np.uint8)
    new = np.full((60, 60, 3), 30, dtype=np.uint8)
    new[25:35, 25:35] = 60
    mask = np.zeros((60, 60), dtype=bool)
    mask[10:50, 10:50] = True
    done = seamless(host, new, mask)
    assert np.array_equal(done[~mask], host[~mask])
    assert (done[30, 30] == 130).all()
    assert (done[12, 12] == 100).all()


def test_a_membrane_is_a_harmonic_function() -> None:
    # x^2 - y^2 and x y have no curvature, on the grid either: the solution is known everywhere.
    y, x = np.indices((44, 46)) - 22.0
    exact = np.stack([x**2 - y**2, x * y], axis=2).astype(np.float32)
    hole = np.hypot(x / 1.2, y) < 17
    ring = np.zeros_like(hole)
    for shift, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1)):
        ring |= np.roll(hole, shift, axis)
    ring &= ~hole
    given_values = np.where(ring[..., None], exact, 1e6).astype(np.float32)
    assert hole.sum() < 2000
    assert np.abs(membrane(given_values, ring, hole) - exact)[hole].max() < 0.01


def test_a_large_membrane_is_close_to_the_exact_one() -> None:
    y, x = np.indices((201, 240)) - 100.0
    exact = np.stack([(x**2 - y**2) / 100, x * y / 100], axis=2).astype(np.float32)
    hole = np.abs(x) + np.abs(y) < 95
    ring = (np.abs(x) + np.abs(y) < 96) & ~hole
    found = membrane(np.where(ring[..., None], exact, 0).astype(np.float32), ring, hole)
    assert np.abs(found - exact)[hole].max() < 0.05 * np.abs(exact[ring]).max()


def test_a_missing_donor_is_said() -> None:
    with pytest.raises(ConfigError, match="splicing needs a second picture"):
        Splicing().apply(np.ascontiguousarray(PHOTO[:40, :40]), np.random.default_rng(0), None)


def test_all_blendings_are_drawn() -> None:
    host = np.ascontiguousarray(PHOTO[:40, :40])
    drawn = {Splicing().apply(host, np.random.default_rng(s), COFFEE).how["blending"] for s in range(20)}
    assert drawn == {"paste", "colour", "poisson"}
