"""What is known of the pixels of training views: maps move as pixels do, labels follow from what is shown."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_workshop import recipe_values

from vestige.data.augment import ChainConfig, apply_chain, draw_passage, draw_patch, random_patch
from vestige.data.labelled import Labelled
from vestige.data.manifest import Row
from vestige.errors import DataError
from vestige.progress import Progress
from vestige.training.examples import label_views, with_truth
from vestige.training.features import Bucket
from vestige.training.recipe import parse_recipe
from vestige.training.truth import cells, truth_of
from vestige.training.views import View, plan, view_pixels

GEOMETRY = {"resize": 1, "resize_factor": [0.5, 1.0], "blur": 0.5, "noise": 0.5, "jpeg": 0, "webp": 0}
MANIPULATION = {"per_group": 1, "kinds": [{"kind": "copy-move"}], "share": 0.25}
RECIPE = parse_recipe(
    recipe_values(
        "srm-statistics",
        data={"patch": 64, "views": 3, "chain": GEOMETRY, "manipulation": MANIPULATION},
    ),
    "test",
)
SIDE = 128


def grey(path: Path, values: np.ndarray) -> Path:
    Image.fromarray((values * 255).astype(np.uint8)).save(path)
    return path


def made(
    folder: Path, host: int, changed: np.ndarray, generated: np.ndarray, donor: int | None = None
) -> Labelled:
    """A black picture that is white where it was changed."""
    name = f"{host}-{generated.mean():.3f}"
    white = np.repeat((changed * 255).astype(np.uint8)[..., None], 3, 2)
    Image.fromarray(white).save(folder / f"{name}.png")
    return Labelled(
        host=host,
        donor=donor,
        kind="copy-move",
        label=int(generated.any()),
        picture=folder / f"{name}.png",
        generated=grey(folder / f"{name}.generated.png", generated),
        changed=grey(folder / f"{name}.changed.png", changed),
        source=folder / "none.png",
    )


def rows(folder: Path, **changes: object) -> list[Row]:
    for name in ("real.png", "fake.png"):
        Image.fromarray(np.full((SIDE, SIDE, 3), 90, np.uint8)).save(folder / name)
    return [
        Row(folder / "real.png", "real.png", 0, "camera", **changes),  # type: ignore[arg-type]
        Row(folder / "fake.png", "fake.png", 1, "generator"),
    ]


def buckets_of(views: list[View], some: list[Row], labelled: list[Labelled]) -> list[Bucket]:
    """Buckets by side, as the cache makes them; the feature is the index of the view."""
    sides: dict[int, list[int]] = {}
    for index, view in enumerate(views):
        (pixels,) = view_pixels([view], some, RECIPE.data, RECIPE.seed, {}, labelled)
        sides.setdefault(pixels.shape[0], []).append(index)
    return [
        Bucket(np.array(members), [np.array(members, np.float16)[:, None]], side)
        for side, members in sorted(sides.items())
    ]


def test_maps_move_as_pixels_do(tmp_path: Path) -> None:
    changed = np.zeros((SIDE, SIDE))
    changed[20:70, 50:110] = 1
    some, labelled = rows(tmp_path), [made(tmp_path, 0, changed, changed)]
    views = [view for view in plan(RECIPE.data, 2, [], labelled) if view.manipulated is not None]
    buckets = buckets_of(views, some, labelled)
    truth = truth_of(buckets, views, some, RECIPE.data, RECIPE.seed, labelled, Progress())
    compared = 0
    for bucket, known in zip(buckets, truth, strict=True):
        for index, (first, second) in zip(bucket.views, known, strict=True):
            (pixels,) = view_pixels([views[index]], some, RECIPE.data, RECIPE.seed, {}, labelled)
            seen = pixels[..., 0].astype(np.float64) / 255
            side = seen.shape[0] // 8
            expected = seen.reshape(side, 8, side, 8).mean((1, 3))
            assert np.abs(expected - first).mean() < 0.03, "another filter, a blur and noise apart"
            assert np.array_equal(first, second)
            compared += 1
    assert compared == 3


def test_a_passage_is_drawn_before_the_pixels_are_looked_at() -> None:
    chain = ChainConfig(resize=0.7, blur=0.5, noise=0.5)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        pixels = rng.integers(0, 256, (int(rng.integers(30, 90)), 70, 3), dtype=np.uint8)
        one, other = np.random.default_rng([seed, 1]), np.random.default_rng([seed, 1])
        whole = random_patch(apply_chain(pixels, chain, one), 64, one)
        passage = draw_passage(*pixels.shape[:2], chain, other)
        moved = passage.pixels(pixels)
        patch = draw_patch(*moved.shape[:2], 64, other)
        assert np.array_equal(whole, patch.cut(moved))
        assert one.random() == other.random()
        assert passage.map(np.zeros(pixels.shape[:2], np.float32)).shape == moved.shape[:2]


def test_cells_are_means() -> None:
    values = np.zeros((16, 16), np.float32)
    values[:4, :8] = 1
    assert cells(values).tolist() == [[0.5, 0], [0, 0]]


def test_pictures_without_masks_are_wholly_of_their_label(tmp_path: Path) -> None:
    some = rows(tmp_path)
    views = [View(0, 0, False), View(1, 0, False), View(0, 0, True)]
    (bucket,) = [Bucket(np.arange(3), [np.zeros((3, 1), np.float16)], 64)]
    (truth,) = truth_of([bucket], views, some, RECIPE.data, 0, [], Progress())
    assert truth.shape == (3, 2, 8, 8)
    assert truth[:, 0].max() == 0, "nothing was changed"
    assert truth[:, 1].mean((1, 2)).tolist() == [0, 1, 1], "the last is a reconstruction"


def test_masks_of_the_manifest_are_taken(tmp_path: Path) -> None:
    mask = np.zeros((SIDE, SIDE))
    mask[:64] = 1
    some = rows(tmp_path, mask=grey(tmp_path / "mask.png", mask))
    bucket = Bucket(np.array([0]), [np.zeros((1, 1), np.float16)], 64)
    (truth,) = truth_of([bucket], [View(0, 0, False)], some, RECIPE.data, RECIPE.seed, [], Progress())
    assert np.array_equal(truth[0, 0], truth[0, 1])
    assert 0 < truth[0, 1].mean() < 1
    (both,) = truth_of(
        [bucket],
        [View(0, 0, False)],
        rows(tmp_path, mask=tmp_path / "mask.png", changed=grey(tmp_path / "all.png", np.ones((SIDE, SIDE)))),
        RECIPE.data,
        RECIPE.seed,
        [],
        Progress(),
    )
    assert np.array_equal(both[0, 1], truth[0, 1])
    assert both[0, 0].min() == 1
    small = rows(tmp_path, mask=grey(tmp_path / "small.png", mask[:64]))
    with pytest.raises(DataError, match=r"small\.png: a mask of 128x64 pixels for real\.png of 128x128"):
        truth_of([bucket], [View(0, 0, False)], small, RECIPE.data, RECIPE.seed, [], Progress())
    (tmp_path / "broken.png").write_bytes(b"no picture")
    broken = rows(tmp_path, mask=tmp_path / "broken.png")
    with pytest.raises(DataError, match=r"broken\.png: the mask cannot be read"):
        truth_of([bucket], [View(0, 0, False)], broken, RECIPE.data, RECIPE.seed, [], Progress())


@pytest.mark.parametrize("label", [0, 1])
def test_pictures_with_the_mask_of_changes_alone_are_wholly_of_their_label(
    tmp_path: Path, label: int
) -> None:
    mask = np.zeros((SIDE, SIDE))
    mask[:64] = 1
    changed = grey(tmp_path / "changed.png", mask)
    some = [replace(row, label=label) for row in rows(tmp_path, changed=changed)]
    bucket = Bucket(np.arange(2), [np.zeros((2, 1), np.float16)], 64)
    views = [View(0, 0, False), View(0, 0, True)]
    (truth,) = truth_of([bucket], views, some, RECIPE.data, RECIPE.seed, [], Progress())
    both = rows(tmp_path, changed=changed, mask=changed)
    (expected,) = truth_of([bucket], views, both, RECIPE.data, RECIPE.seed, [], Progress())
    assert 0 < truth[0, 0].mean() < 1
    assert np.array_equal(truth[0, 0], expected[0, 0])
    assert (truth[0, 1] == label).all()
    assert truth[1, 0].max() == 0, "a reconstruction"
    small = rows(tmp_path, changed=grey(tmp_path / "small.png", mask[:64]))
    with pytest.raises(DataError, match=r"small\.png: a mask of 128x64 pixels for real\.png of 128x128"):
        truth_of([bucket], views, small, RECIPE.data, RECIPE.seed, [], Progress())


def test_slivers_alone_take_no_share(tmp_path: Path) -> None:
    sliver = np.zeros((SIDE, SIDE))
    sliver[::16] = 0.2
    some, labelled = rows(tmp_path), [made(tmp_path, 0, np.ones((SIDE, SIDE)), sliver)]
    views = plan(RECIPE.data, 2, [], labelled)
    buckets = buckets_of(views, some, labelled)
    truth = truth_of(buckets, views, some, RECIPE.data, RECIPE.seed, labelled, Progress())
    weights = label_views(RECIPE, some, views, buckets, labelled, truth).weights
    shown = np.array([view.manipulated is None for view in views])
    assert np.isfinite(weights).all()
    assert (weights[shown] > 0).all()
    assert (weights[~shown] == 0).all()


def test_what_counts_as_untouched(tmp_path: Path) -> None:
    """Neither what was made of a picture nor one that comes with masks."""
    mask = np.zeros((SIDE, SIDE))
    mask[:64] = 1
    some = rows(tmp_path, mask=grey(tmp_path / "mask.png", mask))
    labelled = [made(tmp_path, 1, mask, mask)]
    views = plan(RECIPE.data, 2, [1], labelled)
    examples = label_views(RECIPE, some, views, [], labelled)
    untouched = [view for view, touched in zip(views, examples.touched, strict=True) if not touched]
    assert untouched == [View(1, draw, False) for draw in range(3)]


def test_labels_follow_from_what_is_shown(tmp_path: Path) -> None:
    nothing, sliver, much = np.zeros((SIDE, SIDE)), np.zeros((SIDE, SIDE)), np.ones((SIDE, SIDE))
    sliver[::16] = 0.2
    some = rows(tmp_path)
    labelled = [
        made(tmp_path, 0, much, nothing),
        made(tmp_path, 0, much, sliver),
        made(tmp_path, 0, much, much, donor=1),
    ]
    views = plan(RECIPE.data, 2, [], labelled)
    buckets = buckets_of(views, some, labelled)
    truth = truth_of(buckets, views, some, RECIPE.data, RECIPE.seed, labelled, Progress())
    examples = label_views(RECIPE, some, views, buckets, labelled, truth)
    kinds = np.array([-1 if view.manipulated is None else view.manipulated for view in views])
    assert (examples.labels[kinds == 0] == 0).all()
    assert (examples.weights[kinds == 1] == 0).all(), "neither one nor the other"
    assert (examples.labels[kinds == 2] == 1).all()
    assert examples.reconstructed.tolist() == (kinds >= 0).tolist()
    assert examples.donors[kinds == 2].tolist() == [1, 1, 1]
    for label in (0, 1):
        members = examples.labels == label
        of_made = examples.weights[members & (kinds >= 0)].sum()
        assert of_made == pytest.approx(0.25 * examples.weights[members].sum())
    inside = examples.of_rows(np.array([True, False]))
    assert not inside[kinds == 2].any(), "it shows pixels of the other picture, too"
    assert inside[kinds == 0].all()
    last = with_truth(examples).buckets[0].features
    assert len(last) == 2
    assert np.array_equal(last[1], truth[0])
