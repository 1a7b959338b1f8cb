"""From held-out maps to the limits of the verdict "partly generated"."""

from pathlib import Path

import numpy as np
import pytest

from vestige.errors import DataError
from vestige.inference.verdict import calibrate
from vestige.training.held_out_maps import HeldOutMaps, read_maps, write_maps
from vestige.training.localisation import localisation
from vestige.training.package_recipe import PartSection

CELLS = 100
SECTION = PartSection(minimum_share=0.1, maximum_share=0.8, fpr=0.02, whole_called_part=0.1)


def maps(
    real: list[np.ndarray], whole: list[np.ndarray], parts: list[tuple[np.ndarray, np.ndarray]]
) -> HeldOutMaps:
    views = [*real, *whole, *(logits for logits, _ in parts)]
    truth = [np.zeros(CELLS)] * len(real) + [np.ones(CELLS)] * len(whole) + [known for _, known in parts]
    return HeldOutMaps(
        np.concatenate(views).astype(np.float32),
        np.concatenate(truth).astype(np.float32),
        np.full(len(views), CELLS),
        np.array([0] * len(real) + [1] * len(whole) + [0] * len(parts)),
        np.array([False] * (len(real) + len(whole)) + [True] * len(parts)),
        np.arange(len(views)),
    )


def some(rng: np.random.Generator, count: int, centre: float) -> list[np.ndarray]:
    return [rng.normal(centre, 1, CELLS) for _ in range(count)]


def parted(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    truth = (np.arange(CELLS) < 30).astype(float)
    return rng.normal(0, 1, CELLS) + np.where(truth, 2.0, -2.0), truth


def test_so_many_real_views_have_a_part_and_no_more() -> None:
    rng = np.random.default_rng(0)
    real, whole = some(rng, 200, -2), some(rng, 150, 2)
    found = localisation(maps(real, whole, [parted(rng) for _ in range(60)]), SECTION, "made up")
    assert found is not None
    shares = [(calibrate(view, found.calibration) >= found.threshold).mean() for view in real]
    assert sum(share >= 0.1 for share in shares) == 4, "2 % of 200"
    assert found.calibration.real == 200 * CELLS + 60 * 70
    assert found.calibration.generated == 150 * CELLS + 60 * 30
    # Two normal distributions of spread 1 at -2 and 2: the log-odds are 4 times the logit.
    assert found.calibration.slope == pytest.approx(4, rel=0.1)
    assert found.calibration.intercept == pytest.approx(0, abs=0.2)


def test_wholly_generated_views_are_rarely_called_partly_generated() -> None:
    rng = np.random.default_rng(1)
    # Half of each wholly generated view is not recognised: only the rest tells it from a part.
    patchy = [np.where(np.arange(CELLS) < 50, 4.0, rng.uniform(-6, -1)) for _ in range(200)]
    found = localisation(maps(some(rng, 200, -2), patchy, [parted(rng) for _ in range(60)]), SECTION, "")
    assert found is not None
    called = 0
    for view in patchy:
        probability = calibrate(view, found.calibration)
        counted = probability >= found.threshold
        if 0.1 <= counted.mean() <= 0.8 and probability[~counted].mean() <= found.maximum_rest:
            called += 1
    assert called == 20, "10 % of 200"


def test_too_little_to_say_anything() -> None:
    rng = np.random.default_rng(2)
    parts = [parted(rng) for _ in range(20)]
    assert localisation(maps(some(rng, 99, -2), some(rng, 150, 2), parts), SECTION, "") is None
    upside_down = maps(some(rng, 120, 2), some(rng, 120, -2), [])
    assert localisation(upside_down, SECTION, "") is None


def test_maps_of_folds_are_put_together(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    one, other = maps(some(rng, 2, 0), [], [parted(rng)]), maps([], some(rng, 3, 0), [])
    paths = [tmp_path / str(fold) / "maps.npz" for fold in range(2)]
    assert read_maps(paths) is None
    write_maps(paths[0], one)
    with pytest.raises(DataError, match=r"1/maps\.npz: is missing"):
        read_maps(paths)
    write_maps(paths[1], other)
    both = read_maps(paths)
    assert both is not None
    assert np.array_equal(both.logits, np.concatenate([one.logits, other.logits]))
    assert both.touched.tolist() == [False, False, True, False, False, False]
    # The first pictures of both folds have the same number here; those of a run never do.
    assert [len(one) for one in both.of_pictures(both.logits, ~both.touched)] == [2 * CELLS] * 2 + [CELLS]
    whole = paths[1].read_bytes()
    another = tmp_path / "another.npz"
    np.savez(another, logits=np.zeros(3))
    for damaged in (b"no archive", b"", whole[: len(whole) // 2], another.read_bytes()):
        paths[1].write_bytes(damaged)
        with pytest.raises(DataError, match="cannot be read"):
            read_maps(paths)
