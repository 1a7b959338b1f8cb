"""The engine of a cluster gives the rows of every other one, in order, whoever dies on the way."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bulk_places import DeadlyPlace, cut, held

from vestige.bulk import ray_engine
from vestige.bulk.chunks import Chunk, FilePlace, Item
from vestige.bulk.ray_engine import RayEngine
from vestige.bulk.scorer import ScoreOptions, score_items
from vestige.errors import ConfigError, VestigeError

pytest.importorskip("ray", reason="Ray is not installed")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster of this computer whose processes find the places of these tests."""
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100 * 2**20,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}},
    )
    yield ray
    ray.shutdown()


@pytest.fixture
def options(package: Path) -> ScoreOptions:
    return ScoreOptions(model=str(package))


def expected(chunks: list[Chunk], options: ScoreOptions) -> pa.Table:
    return pa.concat_tables([score_items(chunk.items, options) for chunk in chunks])


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_cluster_that_is_not_there_is_told_soon(scheme: str, bytes_of_pictures: dict[str, bytes]) -> None:
    with socket.socket() as taken:  # bound and not listening: nobody can be there
        taken.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match=f"no Ray cluster at {address}"):
            list(RayEngine(address).run(cut(held(bytes_of_pictures, 8), 8), ScoreOptions()))


def test_rows_are_those_of_every_engine_in_order_and_windows(
    cluster: Any, options: ScoreOptions, bytes_of_pictures: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_engine, "WINDOW", 3)
    monkeypatch.setattr(ray_engine, "WINDOW_AT_LEAST", 1)
    chunks = cut(held(bytes_of_pictures, 70), 8)
    taken = 0

    def counted() -> Iterator[Chunk]:
        nonlocal taken
        for chunk in chunks:
            taken += 1
            yield chunk

    found = []
    for one in RayEngine(actors=(1, 2)).run(counted(), options):
        found.append(one)
        # A window of three chunks for each of two actors, and not all that there are.
        assert taken <= -(-len(found) // 6) * 6
    assert [one.chunk for one in found] == chunks
    assert pa.concat_tables([one.table for one in found]).equals(expected(chunks, options))


def test_actors_that_die_change_no_row_and_the_guilty_get_an_error(
    cluster: Any, options: ScoreOptions, bytes_of_pictures: dict[str, bytes], tmp_path: Path
) -> None:
    items = held(bytes_of_pictures, 40)
    before = expected(cut(items, 8), options).to_pylist()
    (tmp_path / "tokens").mkdir()
    (tmp_path / "tokens" / "once").touch()
    data = items[3].place.read(options.limits)
    items[3] = Item(items[3].name, DeadlyPlace(data, str(tmp_path / "tokens")))
    items[21] = Item(items[21].name, DeadlyPlace(b""))
    chunks = cut(items, 8)
    found = list(RayEngine(actors=(2, 2)).run(chunks, options))
    assert [one.chunk for one in found] == chunks
    assert not list((tmp_path / "tokens").iterdir())
    rows = pa.concat_tables([one.table for one in found]).to_pylist()
    for number, (one, other) in enumerate(zip(before, rows, strict=True)):
        if number == 21:
            assert other["error_code"] == "internal"
            assert "died" in other["error"]
        elif 16 <= number < 24:
            # What shared a batch with it does no more.
            assert (other["path"], other["verdict"]) == (one["path"], one["verdict"])
        else:
            assert other == one


def test_a_model_that_actors_do_not_find_is_told(cluster: Any, bytes_of_pictures: dict[str, bytes]) -> None:
    chunks = cut(held(bytes_of_pictures, 8), 8)
    with pytest.raises(VestigeError, match="no-such-model"):
        list(RayEngine(actors=(1, 1)).run(chunks, ScoreOptions(model="no-such-model")))


def test_without_ray_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"needs ray: pip install 'vestige\[bulk\]'"):
        RayEngine()


def test_the_command_with_its_own_cluster(
    package: Path, tmp_path: Path, bytes_of_pictures: dict[str, bytes]
) -> None:
    (tmp_path / "many").mkdir()
    for number in range(100):
        name, data = list(bytes_of_pictures.items())[number % len(bytes_of_pictures)]
        (tmp_path / "many" / f"{number:03d}-{name}").write_bytes(data)
    command = [sys.executable, "-c", "from vestige.apps.cli import main; main()"]
    for name, options in (("local", []), ("ray", ["--engine", "ray", "--actors", "2"])):
        arguments = ["bulk", "--model", package, tmp_path / "many", tmp_path / f"{name}.parquet", *options]
        done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, timeout=240)
        assert done.returncode == 2, done.stderr
        assert "100 pictures: " in done.stderr
        assert "Traceback" not in done.stderr
    assert (tmp_path / "local.parquet").read_bytes() == (tmp_path / "ray.parquet").read_bytes()
    assert pq.read_table(tmp_path / "ray.parquet").num_rows == 100


def test_relative_paths_are_those_of_the_command(
    cluster: Any,
    options: ScoreOptions,
    bytes_of_pictures: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name, data = next(iter(bytes_of_pictures.items()))
    (tmp_path / name).write_bytes(data)
    monkeypatch.chdir(tmp_path)
    (found,) = RayEngine(actors=(1, 1)).run(cut([Item(name, FilePlace(name))], 1), options)
    assert found.table.column("error_code").to_pylist() == [None]


def test_gpus_that_are_not_there_are_not_waited_for(
    cluster: Any, options: ScoreOptions, bytes_of_pictures: dict[str, bytes]
) -> None:
    with pytest.raises(ConfigError, match=r"--gpus 64: Ray sees \d+ GPUs on this computer"):
        list(RayEngine(gpus=64).run(cut(held(bytes_of_pictures, 8), 8), options))
