"""The cache of frozen features: right, grouped by shape, and not computed twice."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_workshop import recipe_values, write_set

from vestige.data.manifest import read_manifest
from vestige.methods.base import Network
from vestige.training import cache
from vestige.training.cache import Bucket, build_cache
from vestige.training.progress import Progress
from vestige.training.recipe import Recipe
from vestige.training.views import plan, view_pixels

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


def build(folder: Path, network: Network) -> list[Bucket]:
    manifest = folder / "set" / "manifest.csv"
    rows = read_manifest(manifest if manifest.exists() else write_set(folder / "set", groups=2, each=3))
    views = plan(RECIPE.data, len(rows), [])
    return build_cache(RECIPE, rows, views, {}, network, folder / "cache", Progress())


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SHARD", 10)  # 36 views, cut in the middle of a picture
    monkeypatch.setattr(cache, "BATCH", 4)


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


def test_kept_shards_are_not_computed_again(tmp_path: Path) -> None:
    first, second, third = Means(), Means(), Means()
    one = build(tmp_path, first)
    build(tmp_path, second)
    assert (first.seen, second.seen) == (36, 0)
    (tmp_path / "cache" / "00000010.npz").unlink()
    (tmp_path / "cache" / "00000010.part").write_bytes(b"half a shard")
    again = build(tmp_path, third)
    assert third.seen == 10
    for bucket, other in zip(one, again, strict=True):
        assert np.array_equal(bucket.views, other.views)
        assert all(np.array_equal(a, b) for a, b in zip(bucket.features, other.features, strict=True))


def test_each_picture_is_read_once_per_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vestige.training import views

    read: list[Path] = []
    original = views.read_pixels
    monkeypatch.setattr(views, "read_pixels", lambda path: (read.append(path), original(path))[1])
    monkeypatch.setattr(cache, "SHARD", 36)
    build(tmp_path, Means())
    assert len(read) == len(set(read)) == 12
