"""A run from source to table: finished once, gone on with, refused, stopped."""

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import PIL
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bulk_places import ListSource, held

from vestige.bulk import run as bulk_run
from vestige.bulk.chunks import CHUNK, Chunk
from vestige.bulk.engines import Scored
from vestige.bulk.run import BulkOptions, Outcome, run_bulk, work_folder
from vestige.bulk.scorer import ScoreOptions, score_items
from vestige.errors import ConfigError, DataError
from vestige.provenance.trust import TrustList


class Here:
    """An engine without processes; stops before a chunk if it is told to."""

    def __init__(self, stop_at: int | None = None, error: type[BaseException] = KeyboardInterrupt) -> None:
        self.stop_at, self.error, self.firsts = stop_at, error, list[int]()

    def run(self, chunks: Iterator[Chunk], options: ScoreOptions) -> Iterator[Scored]:
        for chunk in chunks:
            if self.stop_at is not None and chunk.first >= self.stop_at:
                raise self.error("stopped")
            self.firsts.append(chunk.first)
            yield Scored(chunk, score_items(chunk.items, options))


class Seen:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.begins: list[tuple[int, int | None]] = []
        self.rows = 0

    def begun(self, done: int, total: int | None, counts: Counter[str]) -> None:
        assert sum(counts.values()) == done
        self.begins.append((done, total))

    def scored(self, scored: Scored) -> None:
        self.rows += scored.table.num_rows


@pytest.fixture
def options(package: Path) -> ScoreOptions:
    return ScoreOptions(model=str(package))


@pytest.fixture
def source(bytes_of_pictures: dict[str, bytes]) -> ListSource:
    return ListSource(held(bytes_of_pictures, 3 * CHUNK + 5))


def run(
    source: ListSource, output: Path, score: ScoreOptions, engine: Here | None = None, **options: bool
) -> tuple[Outcome, Seen]:
    seen = Seen()
    return run_bulk(source, output, engine or Here(), score, BulkOptions(**options), seen), seen


def test_every_input_has_its_row_in_order(source: ListSource, options: ScoreOptions, tmp_path: Path) -> None:
    outcome, seen = run(source, tmp_path / "out.parquet", options)
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.column("path").to_pylist() == [item.name for item in source.all]
    assert seen.begins == [(0, len(source.all))]
    assert seen.rows == outcome.rows == outcome.new == len(source.all)
    codes = Counter(code for code in table.column("error_code").to_pylist() if code)
    assert outcome.unreadable == dict(codes)
    assert set(codes) == {"truncated", "unsupported"}
    assert [path.name for path in tmp_path.glob("out*")] == ["out.parquet"]


def test_finished_is_finished(source: ListSource, options: ScoreOptions, tmp_path: Path) -> None:
    first, _ = run(source, tmp_path / "out.parquet", options)
    before = (tmp_path / "out.parquet").stat().st_mtime_ns
    engine = Here()
    again, _ = run(source, tmp_path / "out.parquet", options, engine)
    assert engine.firsts == []
    assert again.new == 0
    assert again.rows == first.rows
    assert again.counts == first.counts
    assert (tmp_path / "out.parquet").stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.glob("out*")] == ["out.parquet"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, DataError, MemoryError])
def test_stopped_runs_keep_what_was_scored(
    source: ListSource, options: ScoreOptions, tmp_path: Path, error: type[BaseException]
) -> None:
    run(source, tmp_path / "whole.parquet", options)
    with pytest.raises(error):
        run(source, tmp_path / "out.parquet", options, Here(2 * CHUNK, error))
    assert not (tmp_path / "out.parquet").exists()
    engine = Here()
    source.taken = 0
    outcome, seen = run(source, tmp_path / "out.parquet", options, engine)
    assert engine.firsts == [2 * CHUNK, 3 * CHUNK]
    assert source.taken == CHUNK + 5
    assert seen.begins == [(2 * CHUNK, len(source.all))]
    assert (outcome.rows, outcome.new) == (3 * CHUNK + 5, CHUNK + 5)
    assert (tmp_path / "out.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()


def test_killed_while_the_table_was_put_together(
    source: ListSource, options: ScoreOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(bulk_run.Parts, "assemble", killed)
        with pytest.raises(KeyboardInterrupt):
            run(source, tmp_path / "out.parquet", options)
    engine = Here()
    outcome, _ = run(source, tmp_path / "out.parquet", options, engine)
    assert engine.firsts == []
    assert outcome.new == 0
    assert pq.read_table(tmp_path / "out.parquet").num_rows == len(source.all)


def test_killed_between_the_table_and_the_end(
    source: ListSource, options: ScoreOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(bulk_run, "discard", lambda _: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            run(source, tmp_path / "out.parquet", options)
    assert work_folder(tmp_path / "out.parquet", BulkOptions()).exists()
    outcome, _ = run(source, tmp_path / "out.parquet", options)
    assert outcome.rows == len(source.all)
    assert [path.name for path in tmp_path.glob("out*")] == ["out.parquet"]


def test_a_folder_of_parts(source: ListSource, options: ScoreOptions, tmp_path: Path) -> None:
    run(source, tmp_path / "whole.parquet", options)
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / "out", options, Here(CHUNK), parts=True)
    run(source, tmp_path / "out", options, parts=True)
    assert pq.read_table(tmp_path / "out").equals(pq.read_table(tmp_path / "whole.parquet"))
    assert len(list((tmp_path / "out").glob("part-*.parquet"))) == 2
    engine = Here()
    outcome, _ = run(source, tmp_path / "out", options, engine, parts=True)
    assert engine.firsts == []
    assert outcome.rows == len(source.all)


def test_parts_are_made_by_time(
    source: ListSource, options: ScoreOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_run, "PART_SECONDS", 0.0)
    run(source, tmp_path / "out", options, parts=True)
    assert len(list((tmp_path / "out").glob("part-*.parquet"))) == 4


@pytest.mark.parametrize("restart", [False, True])
def test_what_is_no_result_is_never_replaced(
    source: ListSource, options: ScoreOptions, tmp_path: Path, restart: bool
) -> None:
    for name in ("diary.parquet", "diary.txt"):
        pq.write_table(pa.table({"dear": ["diary"]}), tmp_path / "diary.parquet")
        (tmp_path / "diary.txt").write_text("dear diary")
        before = (tmp_path / name).read_bytes()
        with pytest.raises(ConfigError, match=rf"{name}: is there already, is no table of vestige bulk"):
            run(source, tmp_path / name, options, restart=restart)
        assert (tmp_path / name).read_bytes() == before
        assert not (tmp_path / f"{name}.parts").exists()


def test_another_table_is_not_overwritten(source: ListSource, options: ScoreOptions, tmp_path: Path) -> None:
    output = tmp_path / "out.parquet"
    run(ListSource(source.all[:3], "others"), output, options)
    before = output.read_bytes()
    with pytest.raises(ConfigError, match=r"holds another run .*--restart"):
        run(source, output, options)
    assert output.read_bytes() == before
    # Begun anew, killed, and gone on with: the old table stays until the new one is there.
    with pytest.raises(KeyboardInterrupt):
        run(source, output, options, Here(CHUNK), restart=True)
    assert output.read_bytes() == before
    engine = Here()
    run(source, output, options, engine)
    assert engine.firsts[0] == CHUNK
    assert pq.read_table(output).num_rows == len(source.all)


def test_other_inputs_and_options_are_refused(
    source: ListSource, options: ScoreOptions, tmp_path: Path, package: Path
) -> None:
    output = tmp_path / "out.parquet"
    with pytest.raises(KeyboardInterrupt):
        run(source, output, options, Here(CHUNK))
    with pytest.raises(ConfigError, match="inputs was"):
        run(ListSource(source.all, "others"), output, options)
    with pytest.raises(ConfigError, match="options was"):
        run(source, output, ScoreOptions(model=str(package), threshold=0.9))
    engine = Here()
    run(source, output, ScoreOptions(model=str(package), threshold=0.9), engine, restart=True)
    assert engine.firsts[0] == 0
    with pytest.raises(ConfigError, match="holds another run"):
        run(source, output, options)


@pytest.mark.parametrize(
    ("name", "parts", "told"),
    [("folder", False, "it is a folder"), ("file", True, "it is a file"), ("no/out", False, "no folder")],
)
def test_outputs_that_cannot_be(
    source: ListSource, options: ScoreOptions, tmp_path: Path, name: str, parts: bool, told: str
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=told):
        run(source, tmp_path / name, options, parts=parts)
    assert sorted(path.name for path in tmp_path.iterdir() if "package" not in path.name) == [
        "file",
        "folder",
    ]


def test_a_run_that_scored_nothing_binds_nobody(
    source: ListSource, options: ScoreOptions, tmp_path: Path
) -> None:
    output = tmp_path / "out.parquet"
    with pytest.raises(KeyboardInterrupt):
        run(ListSource(source.all, "others"), output, options, Here(0))
    assert run(source, output, options)[0].new == len(source.all)


def test_a_finished_run_leaves_what_another_one_has_begun(
    source: ListSource, options: ScoreOptions, tmp_path: Path
) -> None:
    output = tmp_path / "out.parquet"
    run(source, output, options)
    others = ListSource(source.all[:50], "others")
    with pytest.raises(KeyboardInterrupt):
        run(others, output, options, Here(CHUNK), restart=True)
    assert run(source, output, options)[0].new == 0
    engine = Here()
    run(others, output, options, engine)
    assert engine.firsts == [CHUNK]


def test_content_of_the_trust_list_is_part_of_a_run(
    source: ListSource, options: ScoreOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = iter(["first", "second"])
    monkeypatch.setattr(bulk_run, "load_trust_list", lambda _: TrustList(next(lists)))
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / "out.parquet", options, Here(CHUNK))
    with pytest.raises(ConfigError, match="options was"):
        run(source, tmp_path / "out.parquet", options)


def test_a_library_that_is_not_installed_is_noted_as_such(
    source: ListSource, options: ScoreOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_run, "LIBRARIES", ("pillow", "onnxruntime-of-another-kind"))
    run(source, tmp_path / "out.parquet", options)
    noted = json.loads(pq.read_schema(tmp_path / "out.parquet").metadata[b"vestige.run"])["versions"]
    assert noted["onnxruntime-of-another-kind"] is None
    assert noted["pillow"] == PIL.__version__


@pytest.mark.parametrize("name", ["10:30.parquet", os.fsdecode(b"bad\xff.parquet"), "link.parquet"])
def test_unusual_names_of_outputs(
    source: ListSource, options: ScoreOptions, tmp_path: Path, name: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link.parquet").symlink_to(tmp_path / "elsewhere" / "real.parquet")
    run(source, tmp_path / name, options)
    with (tmp_path / name).open("rb") as file:
        assert pq.read_table(file).num_rows == len(source.all)
    assert (tmp_path / "link.parquet").is_symlink()
    assert run(source, tmp_path / name, options)[0].new == 0


@pytest.mark.parametrize("name", [".", "/", "o" * 250, "file/out.parquet"])
def test_impossible_names_of_outputs(
    source: ListSource, options: ScoreOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write"):
        run(source, Path(name), options)
