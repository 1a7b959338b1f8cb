"""Part files and their log: whatever is cut off where, rows are there once or not at all, and never torn."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vestige.bulk.commits import LOG, RUN, Parts, discard
from vestige.errors import ConfigError, VestigeError
from vestige.reports.parquet import table_schema

FACTS = {"inputs": "abc", "options": {"limits": (1, 2)}, "versions": {"vestige": "1"}}


def rows(first: int, end: int) -> pa.Table:
    found = [
        {"path": f"picture {number}", "model": "m", "verdict": "likely_real" if number % 3 else None}
        | {"error_code": None if number % 3 else "empty", "probability": number / 1000}
        for number in range(first, end)
    ]
    return pa.Table.from_pylist(found, schema=table_schema())


def paths_of(table: pa.Table) -> list[str]:
    return list(table.column("path").to_pylist())


def added(folder: Path, sizes: list[int]) -> Parts:
    parts = Parts(folder, FACTS)
    for size in sizes:
        parts.add([rows(parts.end, parts.end + size // 2), rows(parts.end + size // 2, parts.end + size)])
    return parts


def test_a_run_goes_on_behind_its_last_row(tmp_path: Path) -> None:
    added(tmp_path / "run", [5, 7])
    parts = Parts(tmp_path / "run", FACTS)
    assert parts.end == 12
    assert parts.counts == {"likely_real": 8, "error: empty": 4}
    assert not parts.complete
    parts.add([rows(12, 20)])
    parts.finish()
    again = Parts(tmp_path / "run", FACTS)
    assert again.complete
    assert again.end == 20
    again.finish()
    assert len((tmp_path / "run" / LOG).read_text().splitlines()) == 4


@given(sizes=st.lists(st.integers(1, 400), min_size=1, max_size=8), cuts=st.data())
@settings(max_examples=15, deadline=None)
def test_the_table_does_not_depend_on_the_parts(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], cuts: st.DataObject
) -> None:
    import vestige.bulk.commits as commits

    folder = tmp_path_factory.mktemp("parts")
    total = sum(sizes)
    other = sorted(cuts.draw(st.sets(st.integers(1, total), max_size=5)) | {total})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commits, "ROW_GROUP", 256)
        for name, ends in (
            ("one", [sum(sizes[: n + 1]) for n in range(len(sizes))]),
            ("two", other),
        ):
            parts = Parts(folder / name, FACTS)
            for end in ends:
                parts.add([rows(parts.end, end)])
            parts.finish()
            parts.assemble(folder / f"{name}.parquet", {"vestige.run": "x"})
    one, two = folder / "one.parquet", folder / "two.parquet"
    assert one.read_bytes() == two.read_bytes()
    found = pq.read_table(one)
    assert found.equals(rows(0, total))
    assert found.schema.metadata[b"vestige.run"] == b"x"
    assert pq.ParquetFile(one).num_row_groups == -(-total // 256)


class Stopped(BaseException):
    """Stands for a kill: nothing may catch it."""


def stop_at(monkeypatch: pytest.MonkeyPatch, name: str, call: int) -> None:
    original: Callable[..., Any] = getattr(os, name)
    calls = 0

    def stopping(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise Stopped
        return original(*arguments, **options)

    monkeypatch.setattr(os, name, stopping)


@pytest.mark.parametrize(("name", "call"), [(n, c) for n in ("replace", "fsync") for c in range(1, 9)])
def test_a_kill_at_any_step_leaves_whole_parts_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, call: int
) -> None:
    with monkeypatch.context() as patch:
        stop_at(patch, name, call)
        try:
            added(tmp_path / "run", [3, 4, 5])
        except Stopped:
            pass
        else:
            assert (name, call) in {("replace", n) for n in range(5, 9)}
    parts = Parts(tmp_path / "run", FACTS)
    # Either a part is there as a whole, or it is not: no other number of rows can be.
    assert parts.end in (0, 3, 7, 12)
    files = sorted((tmp_path / "run").glob("part-*"))
    assert len(files) == len(parts.commits)
    parts.add([rows(parts.end, 12)] if parts.end < 12 else [rows(12, 13)])
    parts.assemble(tmp_path / "out.parquet", {})
    assert paths_of(pq.read_table(tmp_path / "out.parquet")) == [f"picture {n}" for n in range(parts.end)]


@given(cut=st.integers(0, 400))
@settings(max_examples=30, deadline=None)
def test_a_log_cut_off_anywhere_is_a_shorter_run(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    folder = tmp_path_factory.mktemp("cut") / "run"
    added(folder, [3, 4, 5])
    log = folder / LOG
    whole = log.read_bytes()
    log.write_bytes(whole[:cut])
    parts = Parts(folder, FACTS)
    lines = whole[:cut].count(b"\n")
    assert parts.end == [0, 3, 7, 12][lines]
    assert len(list(folder.glob("part-*"))) == lines
    parts.add([rows(parts.end, 20)])
    assert Parts(folder, FACTS).end == 20


def test_another_run_is_refused_by_what_differs(tmp_path: Path) -> None:
    added(tmp_path / "run", [3])
    other = {**FACTS, "versions": {"vestige": "2"}}
    with pytest.raises(ConfigError, match=r"begun otherwise \(versions was .*--restart"):
        Parts(tmp_path / "run", other)
    assert Parts(tmp_path / "run", FACTS).end == 3


def test_a_folder_of_something_else_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="not empty and not a bulk run"):
        Parts(tmp_path / "run", FACTS)
    discard(tmp_path / "run")
    assert (tmp_path / "run" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda folder: (folder / "part-000000000003.parquet").unlink(), "missing or damaged"),
        (lambda folder: os.truncate(folder / "part-000000000003.parquet", 99), "missing or damaged"),
        (lambda folder: (folder / LOG).write_text("{}\n"), "line 1 is damaged"),
        (lambda folder: (folder / RUN).write_text("{"), "damaged"),
        (lambda folder: (folder / LOG).unlink(), "missing"),
    ],
)
def test_damage_is_told_and_not_taken_for_an_empty_run(
    tmp_path: Path, harm: Callable[[Path], object], told: str
) -> None:
    added(tmp_path / "run", [3, 4])
    harm(tmp_path / "run")
    with pytest.raises(ConfigError, match=told):
        Parts(tmp_path / "run", FACTS)


def test_lines_that_do_not_follow_each_other_are_refused(tmp_path: Path) -> None:
    added(tmp_path / "run", [3, 4, 5])
    log = tmp_path / "run" / LOG
    lines = log.read_text().splitlines(keepends=True)
    log.write_text(lines[0] + lines[2])
    with pytest.raises(ConfigError, match="rows are missing before 7"):
        Parts(tmp_path / "run", FACTS)


def test_a_full_disk_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = added(tmp_path / "run", [3])
    (tmp_path / "out.parquet").write_bytes(b"old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(VestigeError, match="No space left on device"):
        parts.add([rows(3, 6)])
    with pytest.raises(VestigeError, match=r"No space left on device; all rows are in .*run"):
        parts.assemble(tmp_path / "out.parquet", {})
    monkeypatch.undo()
    assert (tmp_path / "out.parquet").read_bytes() == b"old"
    assert not list(tmp_path.glob("*.tmp"))
    assert Parts(tmp_path / "run", FACTS).end == 3


def test_parts_are_a_data_set_as_they_are(tmp_path: Path) -> None:
    added(tmp_path / "run", [3, 4])
    assert paths_of(pq.read_table(tmp_path / "run")) == [f"picture {number}" for number in range(7)]


def test_a_kill_while_discarding_leaves_an_empty_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    added(tmp_path / "run", [3, 4])
    unlink, calls = Path.unlink, iter(range(99))

    def stopping(path: Path, **options: bool) -> None:
        if next(calls) == 3:
            raise Stopped
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", stopping)
    with pytest.raises(Stopped):
        discard(tmp_path / "run")
    monkeypatch.undo()
    assert Parts(tmp_path / "run", FACTS).end == 0


def test_discarding_leaves_an_empty_folder(tmp_path: Path) -> None:
    added(tmp_path / "run", [3, 4])
    discard(tmp_path / "run")
    assert not list((tmp_path / "run").iterdir())
    shutil.rmtree(tmp_path / "run")


def test_log_lines_are_json(tmp_path: Path) -> None:
    added(tmp_path / "run", [3])
    line = json.loads((tmp_path / "run" / LOG).read_text())
    assert line["first"] == 0
    assert line["end"] == 3
    assert line["bytes"] == (tmp_path / "run" / "part-000000000000.parquet").stat().st_size


def test_part_files_of_others_stay(tmp_path: Path) -> None:
    theirs = tmp_path / "part-00000-abc.snappy.parquet"
    theirs.write_bytes(b"of another program")
    discard(tmp_path)
    assert theirs.read_bytes() == b"of another program"
    with pytest.raises(ConfigError, match="not empty and not a bulk run"):
        Parts(tmp_path, FACTS)


def test_a_folder_of_another_run_gets_no_rows(tmp_path: Path) -> None:
    ours = added(tmp_path / "run", [5])
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(VestigeError, match="was taken away during the run"):
        ours.add([rows(5, 9)])
    theirs = added(tmp_path / "run", [5])
    for act in (ours.finish, lambda: ours.add([rows(5, 9)])):
        with pytest.raises(VestigeError, match="was taken away during the run"):
            act()
    theirs.add([rows(5, 7)])
    theirs.assemble(tmp_path / "out.parquet", {})
    assert paths_of(pq.read_table(tmp_path / "out.parquet")) == paths_of(rows(0, 7))


def test_a_damaged_part_is_told(tmp_path: Path) -> None:
    parts = added(tmp_path / "run", [5, 5])
    part = sorted((tmp_path / "run").glob("part-*"))[1]
    part.write_bytes(bytes(part.stat().st_size))
    with pytest.raises(VestigeError, match="a part is damaged"):
        parts.assemble(tmp_path / "out.parquet", {})
    assert not (tmp_path / "out.parquet").exists()
