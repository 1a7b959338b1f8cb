"""The cache of frozen features: right, grouped by shape, and not computed twice."""

import csv
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_workshop import recipe_values, write_clip, write_recipe, write_set, write_weights

from vestige.data.manifest import read_manifest
from vestige.errors import DataError
from vestige.images import decode
from vestige.images.file_facts import vector
from vestige.methods.base import Network
from vestige.progress import Progress
from vestige.training import cache, features
from vestige.training.cache import Bucket, build_cache, facts_of
from vestige.training.recipe import Recipe
from vestige.training.run import train
from vestige.training.views import capped, plan, view_pixels

RESIZING = {"patch": 96, "views": 3, "chain": {"resize": 0.7, "resize_factor": [0.5, 1.0]}}
RECIPE = Recipe.model_validate(recipe_values("srm-statistics", data=RESIZING))


class Means(Network):
    """Two features of different rank; counts how many pictures it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def frozen(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        self.seen += len(images)
        return images.mean((2, 3)), images[:, :, ::32, ::32]


def build(folder: Path, network: Network, recipe: Recipe = RECIPE, pictures: str = "set") -> list[Bucket]:
    manifest = folder / pictures / "manifest.csv"
    if not manifest.exists():
        write_set(manifest.parent, groups=2, each=3)
    rows = capped(read_manifest(manifest), recipe.data.per_group, recipe.seed)
    views = plan(recipe.data, len(rows), [])
    return build_cache(recipe, rows, views, {}, network, folder / "cache", Progress())


def with_data(**changes: Any) -> Recipe:
    return Recipe.model_validate(recipe_values("srm-statistics", data=RESIZING | changes))


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SHARD", 10)  # 36 views, cut in the middle of a picture
    monkeypatch.setattr(features, "BATCH", 4)


def test_features_are_those_of_the_views(tmp_path: Path) -> None:
    buckets = build(tmp_path, Means())
    rows = read_manifest(tmp_path / "set" / "manifest.csv")
    views = plan(RECIPE.data, len(rows), [])
    assert sorted(np.concatenate([bucket.views for bucket in buckets]).tolist()) == list(range(36))
    assert len(buckets) > 1
    for bucket in buckets:
        for position, number in enumerate(bucket.views):
            (pixels,) = view_pixels([views[number]], rows, RECIPE.data, RECIPE.seed, {})
            means, thinned = (feature[position] for feature in bucket.features)
            assert means.dtype == np.float16
            np.testing.assert_allclose(means, pixels.mean((0, 1)) / 255, atol=1e-3)
            np.testing.assert_allclose(thinned, pixels[::32, ::32].transpose(2, 0, 1) / 255, atol=1e-3)


def assert_same(one: list[Bucket], other: list[Bucket]) -> None:
    for bucket, twin in zip(one, other, strict=True):
        assert np.array_equal(bucket.views, twin.views)
        assert all(np.array_equal(a, b) for a, b in zip(bucket.features, twin.features, strict=True))


class Stopped(BaseException):
    """Stands for a kill."""


def test_after_a_kill_only_the_rest_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = build(tmp_path / "whole", Means())
    killed, resumed, again = Means(), Means(), Means()
    original = killed.frozen

    def frozen(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if killed.seen >= 22:
            raise Stopped
        return original(images)

    monkeypatch.setattr(killed, "frozen", frozen)
    with pytest.raises(Stopped):
        build(tmp_path, killed)
    found = build(tmp_path, resumed)
    kept = 36 - resumed.seen
    assert kept >= 20
    assert killed.seen - kept <= 10, "one shard at most is computed again"
    assert_same(found, whole)
    assert_same(build(tmp_path, again), whole)
    assert again.seen == 0


def test_a_larger_run_finds_what_a_smaller_one_computed(tmp_path: Path) -> None:
    smaller, larger, fewer_views = Means(), Means(), Means()
    build(tmp_path, smaller, with_data(per_group=2))
    found = build(tmp_path, larger)
    assert (smaller.seen, larger.seen) == (24, 12)
    build(tmp_path, fewer_views, with_data(views=2))
    assert fewer_views.seen == 0
    for bucket, alone in zip(found, build(tmp_path / "alone", Means()), strict=True):
        assert np.array_equal(bucket.views, alone.views)
        for one, other in zip(bucket.features, alone.features, strict=True):
            np.testing.assert_allclose(one, other, rtol=2**-10)


@pytest.mark.parametrize("changes", [{"patch": 64}, {"chain": {"resize": 0.8}}, {"precision": "bfloat16"}])
def test_other_views_are_computed_anew(tmp_path: Path, changes: dict[str, Any]) -> None:
    first, second = Means(), Means()
    build(tmp_path, first)
    build(tmp_path, second, with_data(**changes))
    assert second.seen == 36
    build(tmp_path, again := Means(), RECIPE.model_copy(update={"seed": 4}))
    assert again.seen == 36


def test_pictures_are_known_by_their_bytes_and_names(tmp_path: Path) -> None:
    build(tmp_path, Means())
    (tmp_path / "set").rename(tmp_path / "moved")
    build(tmp_path, moved := Means(), pictures="moved")
    assert moved.seen == 0, "where they lie does not matter"

    hashed = tmp_path / "moved" / "hashed.csv"
    with (tmp_path / "moved" / "manifest.csv").open(newline="") as file, hashed.open("w", newline="") as out:
        rows = list(csv.DictReader(file))
        writer = csv.DictWriter(out, [*rows[0], "sha256"])
        writer.writeheader()
        for row in rows:
            digest = hashlib.sha256((tmp_path / "moved" / row["path"]).read_bytes()).hexdigest()
            writer.writerow(row | {"sha256": digest})
    views = plan(RECIPE.data, len(rows), [])
    stated = Means()
    build_cache(RECIPE, read_manifest(hashed), views, {}, stated, tmp_path / "cache", Progress())
    assert stated.seen == 0, "nor where the hash is from"

    one, other = (tmp_path / "moved" / f"camera-0-{number}.png" for number in (0, 1))
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    build(tmp_path, changed := Means(), pictures="moved")
    assert changed.seen == 3, "the name of one and the bytes of the other: no view that was seen before"
    one.write_bytes(content)
    build(tmp_path, restored := Means(), pictures="moved")
    assert restored.seen == 0


def test_a_reconstruction_is_known_by_its_bytes(tmp_path: Path) -> None:
    rows = read_manifest(write_set(tmp_path / "set", groups=1, each=2))
    files = {0: tmp_path / "r.png"}
    views = plan(RECIPE.data, len(rows), [0])
    reconstructed = [number for number, view in enumerate(views) if view.reconstructed]
    found = []
    for value in (60, 200):  # what two autoencoders might make of it
        Image.fromarray(np.full((96, 96, 3), value, np.uint8)).save(files[0])
        network = Means()
        found.append(build_cache(RECIPE, rows, views, files, network, tmp_path / "cache", Progress()))
        assert network.seen == (len(views) if len(found) == 1 else RECIPE.data.views)
        for bucket in found[-1]:
            mask = np.isin(bucket.views, reconstructed)
            np.testing.assert_allclose(bucket.features[0][mask], value / 255, atol=0.03)


def test_one_cache_for_two_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the first computes its first shard, another does all: the first goes on with what is there."""
    alone = build(tmp_path / "alone", Means())
    one, other = Means(), Means()
    (tmp_path / "alone" / "set").rename(tmp_path / "set")
    original = one.frozen

    def frozen(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if one.seen == 0:
            assert_same(build(tmp_path, other), alone)
        return original(images)

    monkeypatch.setattr(one, "frozen", frozen)
    assert_same(build(tmp_path, one), alone)
    assert (one.seen, other.seen) == (10, 36)


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    write_set(tmp_path / "set", groups=2, each=3)
    (tmp_path / "set" / "camera-1-2.png").unlink()
    with pytest.raises(DataError, match=r"camera-1-2\.png: cannot be read \(No such file"):
        build(tmp_path, Means())


def test_each_picture_is_read_once_per_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vestige.training import views

    read: list[Path] = []
    original = views.read_pixels
    monkeypatch.setattr(views, "read_pixels", lambda path, name: (read.append(path), original(path, name))[1])
    monkeypatch.setattr(cache, "SHARD", 36)
    build(tmp_path, Means())
    assert len(read) == len(set(read)) == 12


def test_runs_share_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write_set(tmp_path / "set", groups=2, each=3)
    weights = write_clip(write_weights(tmp_path / "weights"))
    computed: list[int] = []
    original = features._features

    def counting(source: features.Source, views: list[features.Pixels], precision: features.Precision) -> Any:
        computed.append(len(views))
        return original(source, views, precision)

    def run(name: str, cache: Path | None, **sections: Any) -> bytes:
        data = {"patch": 64, "views": 2} | sections.pop("data", {})
        recipe = write_recipe(tmp_path / f"{name}.yaml", "clip-probe", data=data, **sections)
        train(recipe, manifest, weights, tmp_path / name, Progress(), cache=cache)
        return (tmp_path / name / "network.safetensors").read_bytes()

    monkeypatch.setattr(features, "_features", counting)
    run("smaller", tmp_path / "cache", data={"per_group": 2})
    assert sum(computed) == 16
    run("larger", tmp_path / "cache", fit={"inverse_penalty": 1.0, "seed": 5})
    assert sum(computed) == 24
    third = run("third", tmp_path / "cache")
    assert sum(computed) == 24
    assert not (tmp_path / "third" / "cache").exists()
    assert run("own", None) == run("own-too", None)
    assert (tmp_path / "own" / "cache").is_dir()
    assert sum(computed) == 24 + 2 * 24
    assert third == run("same", tmp_path / "own" / "cache")


class Convolution(Network):
    """Features that a product of matrices makes: what bfloat16 rounds."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Conv2d(3, 8, 3)

    def frozen(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self.layer(images).flatten(2).abs().mean(2),)


def test_bfloat16_gives_nearly_the_same_features(tmp_path: Path) -> None:
    rows = read_manifest(write_set(tmp_path / "set", groups=1, each=3))
    found, data = {}, {"patch": 64, "chain": {"resize": 0}}
    for precision in ("float32", "bfloat16"):
        recipe = Recipe.model_validate(recipe_values("srm-statistics", data=data | {"precision": precision}))
        views = plan(recipe.data, len(rows), [])
        (bucket,) = build_cache(recipe, rows, views, {}, Convolution(), tmp_path / precision, Progress())
        assert bucket.features[0].dtype == np.float16
        found[precision] = np.asarray(bucket.features[0]).astype(np.float64)
    np.testing.assert_allclose(found["bfloat16"], found["float32"], rtol=0.02)
    assert not np.array_equal(found["bfloat16"], found["float32"]), "the flag does something"
    assert RECIPE.data.precision == "float32"


def test_facts_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SHARD", 5)
    rows = read_manifest(write_set(tmp_path, groups=2, each=3))
    (bucket,) = facts_of(rows, Progress())
    assert bucket.views.tolist() == list(range(12))
    for row, facts in zip(rows, bucket.features[0], strict=True):
        np.testing.assert_allclose(facts, vector(decode(row.path).facts), rtol=1e-3)
    rows[7].path.write_bytes(b"not a picture")
    with pytest.raises(DataError, match=f"{rows[7].name}: "):
        facts_of(rows, Progress())
