"""The cache of frozen features: right, grouped by shape, and not computed twice."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_workshop import recipe_values, write_set

from vestige.data.manifest import read_manifest
from vestige.errors import DataError
from vestige.images import decode
from vestige.images.file_facts import vector
from vestige.methods.base import Network
from vestige.progress import Progress
from vestige.training import cache
from vestige.training.cache import Bucket, build_cache, facts_of
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
    monkeypatch.setattr(views, "read_pixels", lambda path, name: (read.append(path), original(path, name))[1])
    monkeypatch.setattr(cache, "SHARD", 36)
    build(tmp_path, Means())
    assert len(read) == len(set(read)) == 12


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
        found[precision] = bucket.features[0].astype(np.float64)
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
