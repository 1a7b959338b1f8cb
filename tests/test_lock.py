"""One at a time in a folder, also where folders come and go."""

import multiprocessing
import os
from pathlib import Path

import pytest

from vestige.errors import ConfigError
from vestige.lock import only_one

pytest.importorskip("fcntl", reason="the system has no such locks, and nothing is held")

ROUNDS = 300


def take_turns(folder: str) -> None:
    """Take the folder and take it away again and again; 1 if anything but a refusal comes up."""
    inside = Path(folder) / "inside"
    for _ in range(ROUNDS):
        try:
            with only_one(Path(folder)):
                inside.touch(exist_ok=False)
                inside.unlink()
            os.rmdir(folder)
        except ConfigError:
            pass
        except OSError as error:
            if Path(str(error.filename)) != Path(folder):  # another one has taken it, or it is gone
                raise


def test_several_processes_take_turns(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=take_turns, args=(str(tmp_path / "folder"),)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]


def test_nothing_is_left_behind_and_nothing_of_others_is_touched(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), only_one(tmp_path):
        raise RuntimeError
    assert not list(tmp_path.iterdir())
    (tmp_path / ".lock").write_text("mine")
    with only_one(tmp_path):
        pass
    assert (tmp_path / ".lock").read_text() == "mine"


def test_a_folder_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be used"), only_one(tmp_path / "file"):
        pass
