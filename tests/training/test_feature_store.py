"""Features on disk that runs, methods and processes share: found again, and never taken for others."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_workshop import MODELS, write_clip
from torch import Tensor, nn

from vestige.errors import DataError
from vestige.methods.base import FrozenPart, Network
from vestige.methods.gensign import model as gensign
from vestige.methods.references import clip_probe
from vestige.nn.clip_vision import ClipTowerConfig
from vestige.progress import Progress
from vestige.training import features
from vestige.training.examples import tensors
from vestige.training.feature_store import KEY_BYTES, FeatureStore
from vestige.training.features import Pixels, features_of, fingerprint, key_of

KIND = {"part": "a test"}


def key(number: int) -> bytes:
    return number.to_bytes(KEY_BYTES, "big")


def rows(first: int, count: int, *shape: int) -> np.ndarray:
    """Rows that tell their number."""
    numbers = np.arange(first, first + count, dtype=np.float16)
    return np.broadcast_to(numbers.reshape(-1, *[1] * len(shape)), (count, *shape)).copy()


def fill(store: FeatureStore, first: int, count: int, side: int = 64) -> None:
    """One row per key, of three tensors: numbers, vectors, maps as large as the view."""
    shapes: list[tuple[int, ...]] = [(), (5,), (2, side // 32, side // 32)]
    given = [rows(first, count, *shape) for shape in shapes]
    store.add(side, [key(number) for number in range(first, first + count)], [1] * count, given)


def test_rows_are_found_again_in_any_order(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, KIND)
    fill(store, 0, 6)
    fill(store, 6, 4)
    assert key(3) not in store, "only after a refresh"
    wanted = [7, 0, 3, 3, 9]
    for opened in (store, FeatureStore(tmp_path, KIND)):
        opened.refresh()
        numbers, vectors, maps = opened.read([opened[key(number)] for number in wanted])
        assert (numbers.shape, vectors.shape, maps.shape) == ((5,), (5, 5), (5, 2, 2, 2))
        assert len(vectors) == 5
        assert vectors.dtype == np.float16
        for found in (numbers, vectors, maps):
            whole = np.asarray(found)
            assert whole.dtype == np.float16
            assert np.array_equal(whole.reshape(5, -1)[:, 0], wanted)
            assert (whole.reshape(5, -1)[:, 0] == whole.reshape(5, -1).T).all()
            mask = np.array([True, False, False, True, True])
            for index in (np.array([4, 0, 0]), slice(1, 4), mask, 2, np.array([], int)):
                assert np.array_equal(found[index], whole[index])
            found[np.array([0])][:] = 99  # a copy: what is on disk stays
            assert np.array_equal(found, whole)


def test_rows_are_mapped_and_not_loaded(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, KIND)
    fill(store, 0, 6)
    store.refresh()
    for found in store.read([store[key(number)] for number in (5, 1)]):
        (mapped,) = found._maps
        base = mapped
        while isinstance(base.base, np.ndarray):
            base = base.base
        assert isinstance(base, np.memmap)
        assert not mapped.flags.owndata
        assert not mapped.flags.writeable


def test_several_views_under_one_key(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, KIND)
    store.add(64, [key(0), key(1)], [3, 2], [rows(0, 5, 4)])
    store.refresh()
    assert (store[key(1)].first, store[key(1)].rows) == (3, 2)
    (found,) = store.read([store[key(1)], store[key(0)]])
    assert np.asarray(found)[:, 0].tolist() == [3, 4, 0, 1, 2]


def test_sides_have_their_own_files(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, KIND)
    fill(store, 0, 2, side=64)
    fill(store, 2, 2, side=96)
    store.refresh()
    assert [store[key(number)].side for number in range(4)] == [64, 64, 96, 96]
    assert store.read([store[key(3)]])[2].shape == (1, 2, 3, 3)
    with pytest.raises(DataError, match="features of different shapes"):
        store.read([store[key(0)], store[key(3)]])


@pytest.mark.parametrize("half", [0, 1, 19])
def test_a_kill_between_rows_and_index(tmp_path: Path, half: int) -> None:
    store = FeatureStore(tmp_path, KIND)
    fill(store, 0, 3)
    (index,) = store.folder.glob("*.index")
    before = index.read_bytes()
    fill(store, 3, 3)
    added = index.read_bytes()[len(before) :]
    assert len(added) == 3 * 20
    index.write_bytes(before + added[:half])
    after = FeatureStore(tmp_path, KIND)
    assert [key(number) in after for number in range(6)] == [True] * 3 + [False] * 3
    fill(after, 3, 3)
    after.refresh()
    (numbers, *_) = after.read([after[key(number)] for number in range(6)])
    assert np.asarray(numbers).tolist() == list(range(6))


def test_a_kill_in_the_first_line_of_an_index(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, KIND)
    fill(store, 0, 1)
    (index,) = store.folder.glob("*.index")
    (store.folder / "0.index").write_bytes(index.read_bytes()[:10])
    (store.folder / "0.rows").touch()
    assert key(0) in FeatureStore(tmp_path, KIND)


def test_rows_that_are_not_there_are_not_believed(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, KIND)
    fill(store, 0, 4)
    (path,) = store.folder.glob("*.rows")
    path.write_bytes(path.read_bytes()[:-1])  # as a copy that was cut off
    after = FeatureStore(tmp_path, KIND)
    assert [key(number) in after for number in range(4)] == [True] * 3 + [False]


def test_after_a_full_disk_nothing_is_appended_to_half_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vestige.training import feature_store

    store = FeatureStore(tmp_path, KIND)
    fill(store, 0, 2)
    with monkeypatch.context() as patch:
        patch.setattr(feature_store.os, "fsync", lambda _: (_ for _ in ()).throw(OSError("No space left")))
        with pytest.raises(OSError, match="No space"):
            fill(store, 2, 2)
    fill(store, 4, 2)
    store.refresh()
    assert key(2) not in store
    (numbers, *_) = store.read([store[key(number)] for number in (0, 1, 4, 5)])
    assert np.asarray(numbers).tolist() == [0, 1, 4, 5]


WRITER = """
import sys
from pathlib import Path
import numpy as np
from vestige.training.feature_store import FeatureStore
folder, first, last = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
store = FeatureStore(folder, {"part": "a test"})
print("ready", flush=True)
sys.stdin.readline()
for number in range(first, last):
    store.add(64, [number.to_bytes(16, "big")], [1], [np.full((1, 700), number, np.float16)])
    store.refresh()
assert all(number.to_bytes(16, "big") in store for number in range(first, last))
"""


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    ranges = [(0, 120), (80, 200)]  # forty are computed by both
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), *map(str, numbers)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for numbers in ranges
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    assert [writer.wait(60) for writer in writers] == [0, 0]
    for writer in writers:
        writer.communicate()
    store = FeatureStore(tmp_path, KIND)
    assert len(list(store.folder.glob("*.rows"))) == 2
    (found,) = store.read([store[key(number)] for number in range(200)])
    assert np.array_equal(found, np.broadcast_to(np.arange(200)[:, None], (200, 700)))
    assert json.loads((store.folder / "store.json").read_text()) == KIND
    assert not list(store.folder.glob("*.part"))


class Blocks(nn.Module):
    """Means of the blocks of a picture times a weight; counts the images that it saw."""

    def __init__(self, side: int, weight: float = 1.0) -> None:
        super().__init__()
        self.side, self.seen = side, 0
        self.register_buffer("weight", torch.tensor(weight))

    def forward(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        found: Tensor = nn.functional.avg_pool2d(images, self.side).flatten(2).transpose(1, 2) * self.weight
        return found


class Divided(Network):
    """A part for each of its modules."""

    def __init__(self, *modules: Blocks) -> None:
        super().__init__()
        self.modules_ = nn.ModuleList(modules)

    def parts(self) -> tuple[FrozenPart, ...]:
        return tuple(FrozenPart(f"blocks of {module.side}", module) for module in self.modules_)


def noise(*sizes: tuple[int, int]) -> list[Pixels]:
    """For each (n, s) the views of a picture."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (n, s, s, 3), dtype=np.uint8) for n, s in sizes]


PICTURES = noise((2, 64), (1, 96), (3, 64), (1, 64))
NAMES = ["a", "b", "c", "d"]


def get(folder: Path, network: Network, pictures: Any = PICTURES, names: Any = NAMES, **changes: Any) -> Any:
    options: dict[str, Any] = {"cut": lambda views: views, "cutting": "as they are", **changes}
    return features_of(network, "test", pictures, names, folder=folder, progress=Progress(), **options)


def test_a_network_is_what_its_parts_say() -> None:
    images = torch.rand(2, 3, 64, 64)
    small, large = Blocks(16), Blocks(32)
    found = Divided(small, large).frozen(images)
    assert [tuple(tensor.shape) for tensor in found] == [(2, 16, 3), (2, 4, 3)]
    assert torch.equal(found[1], large(images))
    with pytest.raises(NotImplementedError, match="Network has neither parts nor a frozen of its own"):
        Network().frozen(images)


def test_features_of_any_views(tmp_path: Path) -> None:
    for counts in ([7, 7], [0, 0]):  # computed, then read
        network = Divided(Blocks(16), Blocks(32))
        small, large = get(tmp_path, network)
        assert [module.seen for module in network.modules_] == counts
        assert small.views.tolist() == [0, 0, 2, 2, 2, 3]
        assert large.views.tolist() == [1]
        for bucket, owners in ((small, [0, 2, 3]), (large, [1])):
            views = np.concatenate([PICTURES[owner] for owner in owners])
            with torch.inference_mode():
                expected = network.frozen(torch.from_numpy(views).permute(0, 3, 1, 2).float() / 255)
            for found, wanted in zip(bucket.features, expected, strict=True):
                assert np.array_equal(found, wanted.half().numpy())
        tokens, _ = tensors(small, np.array([5, 0]))
        assert tokens.shape == (2, 16, 3)
        assert tokens.dtype == torch.float32


def test_only_what_is_missing_is_cut_and_computed(tmp_path: Path) -> None:
    cut: list[int] = []
    first = Blocks(16)
    get(tmp_path, Divided(first), PICTURES[:2], NAMES[:2])
    second, third = Blocks(16), Blocks(32)

    def cutting(views: Pixels) -> Pixels:
        cut.append(len(views))
        return views

    get(tmp_path, Divided(second), cut=cutting)
    assert (second.seen, sorted(cut)) == (4, [1, 3]), "the first two pictures are there"
    cut.clear()
    get(tmp_path, Divided(second, third), cut=cutting)
    assert (second.seen, third.seen, sorted(cut)) == (4, 7, [1, 1, 2, 3]), "the other part needs all"
    cut.clear()
    get(tmp_path, Divided(third), cut=cutting)
    assert not cut, "another network with the same part"


def test_what_differs_is_not_found(tmp_path: Path) -> None:
    get(tmp_path, Divided(Blocks(16)))
    for network, changes in (
        (Divided(Blocks(16, weight=0.5)), {}),
        (Divided(Blocks(32)), {}),
        (Divided(Blocks(16)), {"cutting": "in another way"}),
        (Divided(Blocks(16)), {"names": ["e", "f", "g", "h"]}),
        (Divided(Blocks(16)), {"precision": "bfloat16"}),
    ):
        get(tmp_path, network, **changes)
        assert sum(module.seen for module in network.modules_) == 7


def test_networks_that_are_not_divided_are_kept_as_a_whole(tmp_path: Path) -> None:
    class Whole(Divided):
        def parts(self) -> tuple[FrozenPart, ...]:
            return ()

        def frozen(self, images: Tensor) -> tuple[Tensor, ...]:
            return tuple(module(images) for module in self.modules_)

    get(tmp_path, first := Whole(Blocks(16), Blocks(32)))
    small, _ = get(tmp_path, again := Whole(Blocks(16), Blocks(32)))
    assert [[module.seen for module in network.modules_] for network in (first, again)] == [[7, 7], [0, 0]]
    parts = get(tmp_path / "parts", Divided(Blocks(16), Blocks(32)))[0]
    for one, other in zip(small.features, parts.features, strict=True):
        assert np.array_equal(one, other)
    get(tmp_path, changed := Whole(Blocks(16), Blocks(32, weight=2)))
    assert [module.seen for module in changed.modules_] == [7, 7]


def test_features_that_float16_cannot_hold_are_refused(tmp_path: Path) -> None:
    for weight in (1e6, float("nan")):
        with pytest.raises(DataError, match=r"store\.json: features of these pictures are not finite"):
            get(tmp_path, Divided(Blocks(16, weight)))
    with pytest.raises(DataError, match="no views were cut"):
        get(tmp_path, Divided(Blocks(16)), cut=lambda views: views[:0])


def test_a_part_must_keep_the_rows_apart(tmp_path: Path) -> None:
    class Mean(Blocks):
        def forward(self, images: Tensor) -> Tensor:
            return images.mean(0, keepdim=True)

    with pytest.raises(ValueError, match="as many rows"):
        get(tmp_path, Divided(Mean(16)))


def test_kinds_of_weights_do_not_collide() -> None:
    def of(**tensors: Tensor) -> str:
        module = nn.Module()
        for name, tensor in tensors.items():
            module.register_buffer(name, tensor)
        return fingerprint(module)

    zeros = torch.zeros(4)
    assert of(a=zeros) == of(b=zeros.clone()), "names are the description's matter"
    assert of(a=torch.arange(6.0).view(2, 3).t()) == of(a=torch.arange(6.0).view(2, 3).t().contiguous())
    different = [
        of(a=zeros),
        of(a=zeros.view(2, 2)),
        of(a=zeros.int()),
        of(a=zeros.bfloat16()),
        of(a=zeros, b=zeros),
        of(a=torch.tensor(0.0)),
        of(a=-zeros),
        of(),
    ]
    assert len(set(different)) == len(different)
    assert len({key_of("a", "b", 1), key_of("ab", "", 1), key_of("a", "b", 11), key_of("a", "b", "1")}) == 4


def test_clip_features_are_shared_by_methods(tmp_path: Path) -> None:
    """GenSign's untuned RGB stream and the linear probe ask for the same: computed once."""
    tower = MODELS["clip-probe"]
    rgb = {"tower": tower, "output": "projected", "view": "whole", "lora": None}
    options = gensign.GenSignConfig.model_validate({"rgb": rgb, "signature": None})
    (tmp_path / "weights").mkdir()
    weights = write_clip(tmp_path / "weights")
    get(tmp_path, clip_probe.build(ClipTowerConfig(**tower), weights))

    network = gensign.build(options, weights)
    assert network.rgb is not None
    calls: list[int] = []
    network.rgb.frozen.register_forward_hook(lambda *_: calls.append(1))
    small, large = get(tmp_path, network)
    assert not calls, "read"
    for bucket, owner in ((small, 2), (large, 1)):
        images = torch.from_numpy(PICTURES[owner]).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            (wanted,) = network.frozen(images)
        (found,) = tensors(bucket, np.flatnonzero(bucket.views == owner))
        torch.testing.assert_close(found, wanted, atol=2e-3, rtol=2e-3)


def test_batches_are_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "BATCH", 2)
    sizes: list[int] = []
    module = Blocks(16)
    module.register_forward_hook(lambda _module, given, _found: sizes.append(len(given[0])))
    get(tmp_path, Divided(module))
    assert sorted(sizes) == [1, 2, 2, 2]
