"""`vestige bulk` as a user meets it: in a process of its own, killed when it hurts."""

import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vestige.results import ROW_FIELDS

COMMAND = [sys.executable, "-c", "from vestige.apps.cli import main; main()"]


def bulk(package: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "bulk", "--model", str(package), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.fixture
def archive(tmp_path: Path, bytes_of_pictures: dict[str, bytes]) -> Path:
    """Pictures in a folder, a shard in it, and a file that is neither."""
    folder = tmp_path / "archive"
    (folder / "deeper").mkdir(parents=True)
    for number, (name, data) in enumerate(bytes_of_pictures.items()):
        (folder / ("deeper" if number % 2 else "") / name).write_bytes(data)
    with tarfile.open(folder / "shard.tar", "w") as shard:
        for path in sorted((folder / "deeper").iterdir()):
            shard.add(path, f"inner/{path.name}")
    (folder / "notes.md").write_text("not a picture")
    return folder


def rows_of(path: Path) -> list[dict[str, object]]:
    return list(pq.read_table(path).to_pylist())


def test_an_archive_becomes_a_table(package: Path, archive: Path, tmp_path: Path) -> None:
    done = bulk(package, archive, tmp_path / "out.parquet")
    assert done.returncode == 2, done.stderr
    rows = rows_of(tmp_path / "out.parquet")
    inner = len(list((archive / "deeper").iterdir()))
    outer = len([path for path in archive.iterdir() if path.suffix in (".png", ".jpeg", ".webp", ".jpg")])
    assert len(rows) == outer + 2 * inner == len({row["path"] for row in rows})
    assert set(rows[0]) == set(ROW_FIELDS)
    assert sum(str(row["path"]).startswith(f"{archive / 'shard.tar'}/inner/") for row in rows) == inner
    assert {row["error_code"] for row in rows} == {None, "truncated", "unsupported"}
    assert "left out: 1 file that is no picture" in done.stderr
    assert f"{len(rows)} pictures: " in done.stderr
    assert "unreadable (" in done.stderr
    assert "text.jpg: " in done.stderr
    assert not done.stdout
    again = bulk(package, archive, tmp_path / "out.parquet")
    assert again.returncode == 2
    assert "nothing left to do" in again.stderr


def test_the_rows_are_those_of_scan(package: Path, archive: Path, tmp_path: Path) -> None:
    bulk(package, archive / "deeper", tmp_path / "bulk.parquet", "--quiet")
    subprocess.run(
        [
            *COMMAND,
            "scan",
            "--model",
            package,
            archive / "deeper",
            "-q",
            "--parquet",
            tmp_path / "scan.parquet",
        ],
        capture_output=True,
    )
    one, two = (rows_of(tmp_path / f"{name}.parquet") for name in ("bulk", "scan"))
    for row, other in zip(one, two, strict=True):
        for key in ("logit", "probability", "spread"):
            assert row.pop(key) == pytest.approx(other.pop(key), abs=1e-5)
        assert row == other


def test_every_kind_of_input_at_once(
    package: Path, tmp_path: Path, bytes_of_pictures: dict[str, bytes]
) -> None:
    name, data = next(iter(bytes_of_pictures.items()))
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / name).write_bytes(data)
    (tmp_path / "list.txt").write_text(f"one/{name}\none/gone.png\n")
    pq.write_table(pa.table({"image": [data, None], "path": ["a", "b"]}), tmp_path / "table.parquet")
    with tarfile.open(tmp_path / "shard.tar.gz", "w:gz") as shard:
        shard.add(tmp_path / "one" / name, name)
    inputs = ["one", "list.txt", "table.parquet", "shard.tar.gz"]
    done = bulk(package, *(tmp_path / one for one in inputs), tmp_path / "out.parquet")
    assert done.returncode == 2, done.stderr
    rows = rows_of(tmp_path / "out.parquet")
    assert [row["error_code"] for row in rows] == [None, None, "not_found", None, "empty", None]
    assert len({row["sha256"] for row in rows if row["sha256"]}) == 1


def test_killed_at_random_it_ends_with_the_same_table(
    package: Path, tmp_path: Path, bytes_of_pictures: dict[str, bytes]
) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(1500):
        data = list(bytes_of_pictures.values())[number % len(bytes_of_pictures)]
        (folder / f"{number:05d}.bin.jpg").write_bytes(data)
    bulk(package, folder, tmp_path / "whole.parquet", "--quiet")
    rng = random.Random(3)
    script = (
        "import sys; from vestige.bulk import run; run.PART_SECONDS = 0.2;"
        "from vestige.apps.cli import main; main()"
    )
    arguments = ["bulk", "--model", package, "--processes", "2", "--quiet", folder, tmp_path / "out.parquet"]
    kills = 0
    while not (tmp_path / "out.parquet").exists():
        running = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)], start_new_session=True
        )
        if kills < 5:
            # Once it has begun to score, and not always at the same moment.
            while len(psutil.Process(running.pid).children()) < 2 and running.poll() is None:
                time.sleep(0.02)
            time.sleep(rng.uniform(0.3, 1.6))
            children = psutil.Process(running.pid).children() if running.poll() is None else []
            if kills % 2:
                os.killpg(running.pid, signal.SIGKILL)
            else:
                running.kill()
            running.wait()
            kills += 1
            # The processes of a killed run end by themselves.
            assert not psutil.wait_procs(children, timeout=20)[1]
        assert running.wait(timeout=120) is not None
    assert (tmp_path / "out.parquet").read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    paths = [row["path"] for row in rows_of(tmp_path / "out.parquet")]
    assert paths == sorted(str(path) for path in folder.iterdir())
    assert not (tmp_path / "out.parquet.parts").exists()


def test_ctrl_c_says_how_to_go_on(package: Path, tmp_path: Path, bytes_of_pictures: dict[str, bytes]) -> None:
    data = next(iter(bytes_of_pictures.values()))
    (tmp_path / "many").mkdir()
    for number in range(3000):
        (tmp_path / "many" / f"{number:04d}.png").write_bytes(data)
    arguments = ["bulk", "--model", package, tmp_path / "many", tmp_path / "out.parquet"]
    running = subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while not (tmp_path / "out.parquet.parts" / "_run.json").exists():
        time.sleep(0.05)
    time.sleep(1.5)
    os.killpg(running.pid, signal.SIGINT)
    _, told = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "the same command goes on" in told
    assert "Traceback" not in told
    assert not (tmp_path / "out.parquet").exists()


def test_two_runs_do_not_share_an_output(package: Path, archive: Path, tmp_path: Path) -> None:
    from vestige.lock import only_one

    with only_one(tmp_path / "out.parquet.parts"):
        done = bulk(package, archive, tmp_path / "out.parquet")
    assert done.returncode == 2
    assert "another command of vestige is at work there" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nothing-here", "out.parquet"], "nothing could be read"),
        (["empty", "out.parquet"], "no pictures found"),
        (["archive", "out.parquet", "--model", "no-such"], "no-such"),
        (["archive", "out.parquet", "--actors", "1,2"], "need --engine ray"),
        (["archive", "out.parquet", "--engine", "ray", "--actors", "3,2"], "expected MIN,MAX"),
        (["archive", "out.parquet", "--engine", "ray", "--processes", "2"], "--actors MIN,MAX"),
        (["archive", "archive"], "it is a folder"),
        (["archive", "no/out.parquet"], "there is no folder"),
        (["gone.tar", "out.parquet"], "gone.tar"),
        (["archive"], "OUTPUT"),
    ],
)
def test_one_sentence_says_what_is_wrong(
    package: Path, archive: Path, tmp_path: Path, arguments: list[str], told: str
) -> None:
    (tmp_path / "empty").mkdir()
    done = subprocess.run(
        [*COMMAND, "bulk", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "200"},
    )
    if told == "nothing could be read":
        assert done.returncode == 3
        assert rows_of(tmp_path / "out.parquet")[0]["error_code"] == "not_found"
        return
    assert done.returncode == (3 if told == "no pictures found" else 2), done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.glob("*out*")) == []
