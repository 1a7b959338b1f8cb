"""Processes that score: same tables whatever their number, in order, whoever dies on the way."""

import errno
import multiprocessing
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow as pa
import pytest
from bulk_places import DeadlyPlace, cut, held

from vestige.bulk import pool
from vestige.bulk.chunks import Chunk, Item
from vestige.bulk.pool import AHEAD, ProcessPool
from vestige.bulk.scorer import ScoreOptions, score_items
from vestige.errors import ModelPackageError, VestigeError


@pytest.fixture
def options(package: Path) -> ScoreOptions:
    return ScoreOptions(model=str(package))


def scored(chunks: list[Chunk], processes: int, options: ScoreOptions) -> pa.Table:
    found = list(ProcessPool(processes).run(chunks, options))
    assert [one.chunk for one in found] == chunks
    return pa.concat_tables([one.table for one in found])


def expected(chunks: list[Chunk], options: ScoreOptions) -> pa.Table:
    return pa.concat_tables([score_items(chunk.items, options) for chunk in chunks])


def test_two_processes_give_the_rows_of_one_in_order(
    options: ScoreOptions, bytes_of_pictures: dict[str, bytes]
) -> None:
    chunks = cut(held(bytes_of_pictures, 90), 8)
    assert scored(chunks, 2, options).equals(expected(chunks, options))


def test_chunks_are_taken_only_so_far_ahead(
    options: ScoreOptions, bytes_of_pictures: dict[str, bytes]
) -> None:
    taken = 0

    def counted() -> Iterator[Chunk]:
        nonlocal taken
        for chunk in cut(held(bytes_of_pictures, 200), 2):
            taken += 1
            yield chunk

    given = 0
    running = ProcessPool(2).run(counted(), options)
    for _ in running:
        given += 1
        # What is under way, and what was handed out with it in one go.
        assert taken - given <= 2 * AHEAD
    assert given == taken == 100


def test_pictures_held_in_memory_are_fewer(
    options: ScoreOptions, bytes_of_pictures: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "HELD", 1)
    taken = given = 0

    def counted() -> Iterator[Chunk]:
        nonlocal taken
        for chunk in cut(held(bytes_of_pictures, 60), 2):
            taken += 1
            yield chunk

    for _ in ProcessPool(2).run(counted(), options):
        given += 1
        assert taken - given <= 2
    assert given == taken == 30


def test_dying_by_chance_changes_no_row(
    options: ScoreOptions, bytes_of_pictures: dict[str, bytes], tmp_path: Path
) -> None:
    items = held(bytes_of_pictures, 40)
    whole = expected(cut(items, 8), options)
    data = items[13].place.read(options.limits)
    for deaths in (1, 2):
        tokens = tmp_path / f"tokens-{deaths}"
        tokens.mkdir()
        for number in range(deaths):
            (tokens / str(number)).touch()
        items[13] = Item(items[13].name, DeadlyPlace(data, str(tokens)))
        found = [one.table for one in ProcessPool(2).run(cut(items, 8), options)]
        assert pa.concat_tables(found).equals(whole)
        assert not list(tokens.iterdir())


def test_what_kills_again_and_again_is_an_error_of_its_own_row_only(
    options: ScoreOptions, bytes_of_pictures: dict[str, bytes]
) -> None:
    items = held(bytes_of_pictures, 24)
    before = expected(cut(items, 8), options).to_pylist()
    for number in (3, 5):
        items[number] = Item(items[number].name, DeadlyPlace(b""))
    found = scored(cut(items, 8), 2, options).to_pylist()
    for number, (one, other) in enumerate(zip(before, found, strict=True)):
        if number in (3, 5):
            assert other["path"] == one["path"]
            assert other["error_code"] == "internal"
            assert "died" in other["error"]
        else:
            assert other["path"] == one["path"]
            assert other["verdict"] == one["verdict"]
            assert other["error_code"] == one["error_code"]


def test_a_model_that_is_not_there_is_told(bytes_of_pictures: dict[str, bytes]) -> None:
    with pytest.raises(ModelPackageError, match="no-such-model"):
        list(ProcessPool(2).run(cut(held(bytes_of_pictures, 8), 4), ScoreOptions(model="no-such-model")))
    assert_no_children()


def test_nobody_is_left_behind(options: ScoreOptions, bytes_of_pictures: dict[str, bytes]) -> None:
    running = ProcessPool(2).run(cut(held(bytes_of_pictures, 80), 4), options)
    next(iter(running))
    assert len(workers()) == 2
    running.close()
    assert_no_children()


def workers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


def assert_no_children() -> None:
    deadline = time.monotonic() + 20
    while workers() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not workers()
    assert not multiprocessing.active_children()


def test_processes_that_cannot_be_replaced_are_told(
    options: ScoreOptions, bytes_of_pictures: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    (good,) = held(bytes_of_pictures, 1)
    workers = ProcessPool(1).run(cut([good, Item("bad", DeadlyPlace(b""))], 1), options)
    assert next(workers).table.num_rows == 1

    def refuse(_: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(pool._CONTEXT.Process, "start", refuse)
    with pytest.raises(VestigeError, match="cannot start a process: Cannot allocate memory"):
        next(workers)
    assert not multiprocessing.active_children()
