"""Batches in the order of a stream: decided by their number, read from front to back, mixed in windows."""

import io
import json
import pickle
import tarfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import tiny_stages
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_stages import assert_same, recipe, weights
from tiny_workshop import write_recipe, write_set
from torch import Tensor
from torch.utils.data import DataLoader

from vestige.data.manifest import Row
from vestige.data.shards import Named, place_of
from vestige.data.shards_write import write_shards
from vestige.errors import ConfigError, DataError
from vestige.progress import Progress
from vestige.training import stage_training, streaming
from vestige.training.pictures import CropBatches, Pictures
from vestige.training.run import train
from vestige.training.streaming import Stream, StreamedBatches, batches_of

SIDE = 40


def rows_without_files(sizes: Sequence[int], groups: Sequence[str] | None = None) -> list[Row]:
    """Rows of shards with so many members each; number of the row in its name."""
    shards = [shard for shard, size in enumerate(sizes) for _ in range(size)]
    return [
        Row(Path(f"{shard}.tar"), str(number), 0, groups[number] if groups else "g", member=f"{number}.png")
        for number, shard in enumerate(shards)
    ]


def write(folder: Path, sizes: Sequence[int], placed: bool = True) -> list[Row]:
    """The same with files; the red of every pixel is the number of the row."""
    rows = rows_without_files(sizes)
    found = []
    for shard in range(len(sizes)):
        path = folder / f"{shard}.tar"
        members = [row for row in rows if row.path.name == path.name]
        with tarfile.open(path, "w") as archive:
            for row in members:
                pixels = np.random.default_rng(int(row.name)).integers(
                    0, 256, (SIDE, SIDE, 3), dtype=np.uint8
                )
                pixels[..., 0] = int(row.name)
                buffer = io.BytesIO()
                Image.fromarray(pixels).save(buffer, "PNG")
                info = tarfile.TarInfo(row.member)
                info.size = len(buffer.getvalue())
                archive.addfile(info, io.BytesIO(buffer.getvalue()))
        for row in members:
            place = place_of(path, row.member) if placed else None
            found.append(Row(path, row.name, 0, "g", member=row.member, place=place))
    return found


def numbers(batch: torch.Tensor) -> list[int]:
    """Which rows a batch shows."""
    red = batch[:, 0]
    assert (red == red[:, :1, :1]).all()
    return [int(value) for value in red[:, 0, 0]]


def epoch_of(stream: Stream, epoch: int) -> list[list[int]]:
    return [stream.order(epoch, lane).tolist() for lane in range(stream.lanes)]


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=12),
    window=st.integers(1, 50),
    lanes=st.integers(1, 5),
    epoch=st.integers(0, 3),
)
def test_an_epoch_shows_every_picture_of_one_group_once(
    sizes: list[int], window: int, lanes: int, epoch: int
) -> None:
    total = sum(sizes)
    if total < lanes:
        with pytest.raises(ConfigError, match=f"{total} pictures cannot be divided among {lanes} processes"):
            Stream(rows_without_files(sizes), window, 3, lanes)
        return
    sections = epoch_of(Stream(rows_without_files(sizes), window, 3, lanes), epoch)
    assert {len(section) for section in sections} == {total // lanes}
    shown = Counter(index for section in sections for index in section)
    assert set(shown.values()) == {1}
    assert len(shown) == total // lanes * lanes


def test_groups_come_by_the_root_of_their_size() -> None:
    groups = ["large"] * 1600 + ["small"] * 400 + ["tiny"] * 100
    groups = [groups[index] for index in np.random.default_rng(0).permutation(len(groups))]
    stream = Stream(rows_without_files([210] * 10, groups), 256, 7)
    shown = stream.order(0, 0)
    counts = Counter(groups[index] for index in shown)
    for group, root in (("large", 40), ("small", 20), ("tiny", 10)):
        assert counts[group] == pytest.approx(2100 * root / 70, rel=0.03)
    often = Counter(shown.tolist())
    expected = {"large": 2100 * 40 / 70 / 1600, "small": 2100 * 20 / 70 / 400, "tiny": 2100 * 10 / 70 / 100}
    for index, group in enumerate(groups):
        assert often[index] in (int(expected[group]), int(expected[group]) + 1), "evenly within a group"
    # What one epoch leaves out comes in another.
    seen = set(shown.tolist()).union(*(stream.order(epoch, 0).tolist() for epoch in range(1, 8)))
    assert len(seen) == 2100


def test_lanes_have_shards_of_their_own() -> None:
    rows = rows_without_files([50] * 40)
    for sections in (epoch_of(Stream(rows, 64, 1, 4), epoch) for epoch in range(3)):
        shards = [{index // 50 for index in section} for section in sections]
        assert sum(map(len, shards)) <= 40 + 3, "only shards at the ends of sections are read by two"


def test_a_window_takes_from_several_shards_and_mixes_them() -> None:
    stream = Stream(rows_without_files([100] * 32), 80, 5)
    order = stream.order(0, 0)
    for first in range(0, 3200, 80):
        window = order[first : first + 80]
        counts = Counter((window // 100).tolist())
        assert len(counts) == 8
        assert set(counts.values()) == {10}
        # Of each shard a run of neighbours: read from front to back.
        for shard in counts:
            members = np.sort(window[window // 100 == shard])
            assert members[-1] - members[0] == 9
        assert window.tolist() != sorted(window)
        changes = int((np.diff(window // 100) != 0).sum())
        assert changes > 50, "neighbours in the order come from different shards"


def test_orders_follow_from_seed_and_epoch() -> None:
    rows = rows_without_files([20] * 6)
    same = [Stream(rows, 16, 4, 2).order(2, 1).tolist() for _ in range(2)]
    assert same[0] == same[1]
    stream = Stream(rows, 16, 4, 2)
    orders = [epoch_of(stream, epoch) for epoch in (0, 1)] + [epoch_of(Stream(rows, 16, 5, 2), 0)]
    assert orders[0] != orders[1]
    assert orders[0] != orders[2]
    assert epoch_of(stream, 0) == orders[0], "whatever was asked in between"


@pytest.mark.parametrize("placed", [True, False])
def test_a_batch_follows_from_its_number(tmp_path: Path, placed: bool) -> None:
    rows = write(tmp_path, [7, 9, 8, 5], placed)
    stream = Stream(rows, 6, 3, lanes=2)
    batches = StreamedBatches(stream, 4, 32, first=0, count=20)
    assert len(batches) == 20
    found = [batches[index] for index in range(20)]
    assert [number for number, _ in found] == list(range(20))
    # Backwards, from another number on, in another object: the same batches.
    for index in (13, 3, 19, 12, 0):
        again = StreamedBatches(Stream(rows, 6, 3, lanes=2), 4, 32, first=index, count=1)
        number, batch = again[0]
        assert number == index
        assert torch.equal(batch, found[index][1])
        assert torch.equal(batches[index][1], batch)
    for lane in (0, 1):
        shown = [one for index in range(lane, 20, 2) for one in numbers(found[index][1])]
        expected = [one for epoch in range(4) for one in stream.order(epoch, lane).tolist()]
        assert shown == expected[: len(shown)]
        assert len(shown) == 40, "more than two epochs of 14"
    for _, batch in found:
        assert batch.shape == (4, 3, 32, 32)
        assert batch.dtype == torch.uint8
        for crop, number in zip(batch, numbers(batch), strict=True):
            whole = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)[..., 1:]
            cuts = [
                piece
                for top in range(SIDE - 31)
                for left in range(SIDE - 31)
                for piece in (whole[top : top + 32, left : left + 32],)
            ]
            own = crop[1:].permute(1, 2, 0).numpy()
            assert any(np.array_equal(own, cut) or np.array_equal(own, cut[:, ::-1]) for cut in cuts)


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_take_turns_and_each_keeps_to_its_lane(tmp_path: Path, workers: int) -> None:
    rows = write(tmp_path, [6] * 6)
    expected = StreamedBatches(Stream(rows, 8, 3, lanes=4), 3, 32, count=12)
    for rank in (0, 1):
        stream = Stream(rows, 8, 3, lanes=4)  # two devices with two workers each
        batches = StreamedBatches(stream, 3, 32, first=0, count=12)
        loader = DataLoader(batches, batch_size=None, sampler=range(rank, 12, 2), num_workers=workers)
        found = list(loader)
        assert [int(number) for number, _ in found] == list(range(rank, 12, 2))
        assert all(torch.equal(batch, expected[int(number)][1]) for number, batch in found)


def test_shards_are_read_from_front_to_back_and_once_for_each_window(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = write(tmp_path, [12] * 4)
    reads: list[tuple[Path, list[int]]] = []
    original = streaming.read_shard

    def reading(path: Path, members: Sequence[Named]) -> list[bytes]:
        reads.append((path, [one.place.offset for one in members if one.place]))
        return original(path, members)

    monkeypatch.setattr(streaming, "read_shard", reading)
    stream = Stream(rows, 16, 0)
    batches = StreamedBatches(stream, 4, 32, count=12)  # one epoch: three windows
    for index in range(12):
        batches[index]
    stream._reader._windows[1, 0, 0].result()  # the one that is read ahead
    assert len(reads) == 4 * 4
    for _, offsets in reads:
        assert len(offsets) == 4
        assert offsets == sorted(offsets)
    assert len({(path, tuple(offsets)) for path, offsets in reads[:12]}) == 12


def test_only_a_few_windows_stay_in_memory(tmp_path: Path) -> None:
    stream = Stream(write(tmp_path, [12] * 4), 6, 0)
    batches = StreamedBatches(stream, 4, 32, count=40)
    for index in range(40):
        batches[index]
        assert len(stream._reader._windows) <= streaming.KEPT + 1


def test_files_and_other_manifests_are_streamed_too(tmp_path: Path) -> None:
    rows = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        for number in range(6):
            value = number + 6 * (folder == "b")
            path = tmp_path / folder / f"{number}.png"
            Image.new("RGB", (SIDE, SIDE), (value, 0, 0)).save(path)
            rows.append(Row(path, f"{folder}/{number}.png", 0, "g"))
    batches = StreamedBatches(Stream(rows, 4, 0), 4, 32, count=3)
    assert sorted(one for index in range(3) for one in numbers(batches[index][1])) == list(range(12))
    rows[3].path.write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"a/3\.png"):
        [batches[index] for index in range(3, 6)]  # the next epoch


def test_a_stream_goes_to_another_process_without_what_it_read(tmp_path: Path) -> None:
    stream = Stream(write(tmp_path, [12] * 2), 6, 0)
    batches = StreamedBatches(stream, 4, 32, count=6)
    first = batches[0][1]
    copy: Any = pickle.loads(pickle.dumps(batches))
    assert not copy.stream._reader._windows
    assert torch.equal(copy[0][1], first)


def test_shards_are_looked_at_before_training(tmp_path: Path) -> None:
    rows = write(tmp_path, [12] * 2)
    Stream(rows, 6, 0).fill(Progress())
    whole = (tmp_path / "1.tar").read_bytes()
    (tmp_path / "1.tar").write_bytes(whole[: rows[-1].place.offset + 9])  # type: ignore[union-attr]
    with pytest.raises(DataError, match=r"1\.tar/23\.png: the shard ends before it does"):
        Stream(rows, 6, 0).fill(Progress())
    (tmp_path / "1.tar").unlink()
    with pytest.raises(DataError, match=r"1\.tar: cannot be read \(No such file"):
        Stream(rows, 6, 0).fill(Progress())
    batches = StreamedBatches(Stream(rows, 6, 0), 4, 32, count=6)
    with pytest.raises(DataError, match=r"1\.tar: cannot be read"):
        list(map(batches.__getitem__, range(6)))


def test_a_run_on_shards_is_the_run_on_files_of_the_same_names(tmp_path: Path) -> None:
    home, files = tmp_path / "shards", tmp_path / "files"
    write_shards(write_set(tmp_path / "set"), home, size=60_000)
    rows = pyarrow.parquet.read_table(home / "manifest.parquet").drop(["member_offset", "member_bytes"])
    files.mkdir()
    pyarrow.parquet.write_table(rows, files / "manifest.parquet")
    for path in home.glob("*.tar"):
        with tarfile.open(path) as archive:
            archive.extractall(files / path.name, filter="data")
    assert len(list(files.glob("*.tar/*.png"))) == 16
    recipe = write_recipe(tmp_path / "recipe.yaml", "srm-statistics")
    found = []
    for folder in (home, files):
        train(recipe, folder / "manifest.parquet", None, folder / "run", Progress())
        found.append((folder / "run" / "network.safetensors").read_bytes())
    assert found[0] == found[1]


def test_without_a_stream_batches_are_drawn_as_ever(tmp_path: Path) -> None:
    rows = write(tmp_path, [12])
    drawn = batches_of(Pictures(rows), 4, 32, 3, 5, 2)
    assert torch.equal(drawn[1][1], CropBatches(Pictures(rows), 4, 32, 3, 5, 2)[1][1])
    streamed = batches_of(Stream(rows, 4, 3), 4, 32, 3, 5, 2)
    assert streamed[1][0] == 6
    assert torch.equal(streamed[1][1], StreamedBatches(Stream(rows, 4, 3), 4, 32, 6)[0][1])


def test_a_stage_that_streams_goes_on_as_if_never_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_set(tmp_path / "set", groups=4, each=3)
    streaming = recipe(tmp_path / "recipe.yaml", dair={"stream": 4})
    tiny_stages.train(tmp_path, "dair", tmp_path / "whole", streaming)
    step = stage_training.StageTraining.training_step

    def stopping(self: stage_training.StageTraining, given: tuple[int, Tensor]) -> Tensor:
        if int(given[0]) == 5:
            raise Killed
        return step(self, given)

    with monkeypatch.context() as patch:
        patch.setattr(stage_training.StageTraining, "training_step", stopping)
        with pytest.raises(Killed):
            tiny_stages.train(tmp_path, "dair", tmp_path / "run", streaming)
    assert (tmp_path / "run" / "dair" / "last.ckpt").exists()
    tiny_stages.train(tmp_path, "dair", tmp_path / "run", streaming)
    assert_same(weights(tmp_path / "run", "dair"), weights(tmp_path / "whole", "dair"))
    # It is another order than that of batches drawn from all pictures, and the record says so.
    drawn = recipe(tmp_path / "drawn.yaml")
    with pytest.raises(ConfigError, match="begun with another config"):
        tiny_stages.train(tmp_path, "dair", tmp_path / "run", drawn)
    tiny_stages.train(tmp_path, "dair", tmp_path / "drawn", drawn)
    assert "stream" not in json.loads((tmp_path / "drawn" / "dair" / "stage.json").read_text())["config"]
    first, second = (weights(tmp_path / name, "dair") for name in ("whole", "drawn"))
    assert any(not torch.equal(tensor, second[name]) for name, tensor in first.items())


class Killed(BaseException):
    """Stands for a signal: nothing may catch it."""
