"""One cache for several processes at once: work is divided, nothing is torn, and the dead block nobody."""

import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from test_self_augmentation import recipe as dair_recipe
from test_self_augmentation import write_dair
from tiny_workshop import recipe_values, write_set, write_weights

from vestige.data import claims
from vestige.data.atomic import whole_file, write_whole
from vestige.data.claims import CLAIMS, Claims, divide
from vestige.data.manifest import Row, read_manifest
from vestige.progress import Progress
from vestige.training import reconstruct
from vestige.training.features import features_of
from vestige.training.recipe import Recipe

HERE = Path(__file__).parent

# A process that makes files 0.done to 29.done in a folder, five at once, and says of each when it begins.
WORKER = """
import sys, time
from pathlib import Path
from vestige.data import claims
from vestige.data.atomic import write_whole

folder, name, pause = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
claims.STALE, claims.RENEWED = float(sys.argv[4]), 0.05

def lacking(task):
    return [(number, [str(number)]) for number in task if not (folder / f"{number}.done").exists()]

def do(numbers):
    for number in numbers:
        print(number, flush=True)
        time.sleep(pause)
        write_whole(folder / f"{number}.done", name.encode() * 1000)

claims.divide(folder, [range(first, first + 5) for first in range(0, 30, 5)], lacking, do)
"""


class Worker:
    """A process, and the numbers that it has begun so far."""

    def __init__(self, script: str, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), *sys.path[1:]])},
        )
        self.begun: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.begun.append(line.strip())

    def until(self, count: int, seconds: float = 60) -> "Worker":
        end = time.monotonic() + seconds
        while len(self.begun) < count:
            assert time.monotonic() < end, f"only {self.begun}"
            assert self.process.poll() is None or len(self.begun) >= count, "it ended early"
            time.sleep(0.005)
        return self

    def end(self, seconds: float = 60) -> list[str]:
        assert self.process.wait(seconds) == 0
        self._reader.join(5)
        return self.begun


@contextmanager
def workers() -> Iterator[Any]:
    """Starts processes, and ends those that a failed test leaves."""
    found: list[Worker] = []

    def start(*arguments: object) -> Worker:
        found.append(Worker(*arguments))  # type: ignore[arg-type]
        return found[-1]

    try:
        yield start
    finally:
        for worker in found:
            if worker.process.poll() is None:
                worker.process.kill()
                worker.process.wait()


def makers(folder: Path) -> Counter[str]:
    """Who made each of the thirty files, all of them whole."""
    found = Counter[str]()
    for number in range(30):
        content = (folder / f"{number}.done").read_text()
        assert content == content[0] * 1000
        found[content[0]] += 1
    return found


def test_two_processes_do_everything_once(tmp_path: Path) -> None:
    with workers() as start:
        one, other = (start(WORKER, tmp_path, name, 0.03, 60) for name in "ab")
        begun = one.end() + other.end()
    assert sorted(map(int, begun)) == list(range(30)), "nothing twice"
    assert min(makers(tmp_path).values()) >= 5, "both did some"
    assert not (tmp_path / CLAIMS).exists()
    assert not list(tmp_path.rglob("*.part"))


def test_a_killed_process_blocks_nobody(tmp_path: Path) -> None:
    with workers() as start:
        # Stale claims alone would make the other wait for ten minutes.
        killed = start(WORKER, tmp_path, "a", 0.1, 600).until(7)
        killed.process.send_signal(signal.SIGKILL)
        killed.process.wait()
        begun = start(WORKER, tmp_path, "b", 0.001, 600).end(20)
    assert set(map(int, begun)) >= set(range(7, 30))
    assert 0 not in map(int, begun), "what the killed one had finished stays"
    assert makers(tmp_path)["a"] == 30 - len(begun)


def test_a_process_that_was_stopped_blocks_nobody_for_long(tmp_path: Path) -> None:
    with workers() as start:
        stopped = start(WORKER, tmp_path, "a", 0.1, 0.5).until(7)
        stopped.process.send_signal(signal.SIGSTOP)
        other = start(WORKER, tmp_path, "b", 0.001, 0.5)
        other.end(20)
        stopped.process.send_signal(signal.SIGCONT)
        stopped.end(20)
    makers(tmp_path)


def test_what_another_works_on_is_left_to_it_and_then_done_if_it_is_gone(tmp_path: Path) -> None:
    with workers() as start:
        busy = start(WORKER, tmp_path, "a", 30, 600).until(1)
        with Claims(tmp_path) as mine:
            assert mine.of_others() == {"0", "1", "2", "3", "4"}
            wanted = [("x", ["4"]), ("y", ["5"]), ("z", ["6", "0"])]
            assert mine.choose(lambda: wanted) == (["y"], 2)
            busy.process.send_signal(signal.SIGKILL)
            busy.process.wait()
            assert mine.choose(lambda: wanted) == (["x", "y", "z"], 0)
            assert len(list((tmp_path / CLAIMS).glob("*.claim"))) == 1, "that of the dead one was removed"
    assert not (tmp_path / CLAIMS).exists()


@pytest.mark.parametrize(("age", "alive"), [(0, True), (claims.STALE - 20, True), (claims.STALE + 5, False)])
def test_claims_of_other_machines_live_as_long_as_they_are_renewed(
    tmp_path: Path, age: float, alive: bool
) -> None:
    path = tmp_path / CLAIMS / "other.claim"
    path.parent.mkdir()
    path.write_text(json.dumps({"host": "another", "process": os.getpid(), "keys": ["1"]}))
    os.utime(path, (time.time() - age,) * 2)
    with Claims(tmp_path) as mine:
        found, others = mine.choose(lambda: [("one", ["1"]), ("two", ["2"])])
    assert (found, others) == ((["two"], 1) if alive else (["one", "two"], 0))
    assert path.exists(), "it may be of a machine that only sleeps"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": 3}'])
def test_a_claim_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / CLAIMS).mkdir()
    (tmp_path / CLAIMS / "half.claim").write_text(text)
    with Claims(tmp_path) as mine:
        assert mine.choose(lambda: [("one", ["1"])]) == (["one"], 0)


def test_a_claim_is_renewed_while_its_process_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "RENEWED", 0.02)
    with Claims(tmp_path) as mine:
        mine.choose(lambda: [("one", ["1"])])
        (path,) = (tmp_path / CLAIMS).glob("*.claim")
        os.utime(path, (0, 0))
        end = time.monotonic() + 10
        while path.stat().st_mtime == 0:
            assert time.monotonic() < end
            time.sleep(0.01)
        assert json.loads(path.read_text())["host"] == platform.node()


def test_nobody_waits_for_himself(tmp_path: Path) -> None:
    """A task may need the same work in the middle of it; then it is done there."""
    done: list[int] = []

    def lacking(task: int) -> list[tuple[int, list[str]]]:
        return [] if task in done else [(task, [str(task)])]

    def do(tasks: Sequence[int]) -> None:
        if not done:
            done.append(-1)
            divide(tmp_path, [0, 1], lacking, do)
        done.extend(tasks)

    divide(tmp_path, [0, 1], lacking, do)
    assert sorted(done) == [-1, 0, 0, 1]


def test_without_locks_everything_is_still_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fcntl", None)
    done: list[int] = []
    divide(tmp_path, [0, 1, 2], lambda task: [] if task in done else [(task, [str(task)])], done.extend, iter)
    assert done == [0, 1, 2]


def test_writers_of_one_file_do_not_tear_it(tmp_path: Path) -> None:
    path, seen = tmp_path / "a.bin", set()
    contents = [bytes([number]) * 300_000 for number in range(4)]
    write_whole(path, contents[0])
    threads = [
        threading.Thread(target=lambda content=content: [write_whole(path, content) for _ in range(25)])
        for content in contents
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        seen.add(path.read_bytes())
    assert seen <= set(contents)
    assert [file.name for file in tmp_path.iterdir()] == ["a.bin"]

    def fail() -> None:
        with whole_file(path) as partial:
            partial.write_bytes(b"half a")
            raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        fail()
    assert path.read_bytes() in contents
    assert [file.name for file in tmp_path.iterdir()] == ["a.bin"]


# Frozen features

FEATURES = """
import sys, time
from pathlib import Path
import numpy as np
import test_shared_caches as tests
from vestige.training import features

features.PICTURES = 4
folder, out, pause = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])

def cut(number):
    sys.stdout.write(f"{number}\\n")  # at once: two threads do
    sys.stdout.flush()
    time.sleep(pause)
    return tests.views(number)

np.save(out, tests.gathered(folder, cut))
"""


def views(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)


def gathered(folder: Path, cut: Any) -> np.ndarray:
    """Features of sixty pictures by one network, float16 [120, 4]."""
    from test_feature_store import Blocks, Divided

    names = [f"picture {number}" for number in range(60)]
    network = Divided(Blocks(16), Blocks(32))
    (bucket,) = features_of(network, "n", range(60), names, cut, "as they are", folder, Progress())
    return np.concatenate([np.asarray(rows).reshape(120, -1) for rows in bucket.features], axis=1)


def test_processes_that_compute_features_divide_them(tmp_path: Path) -> None:
    """Three of them; one is killed in the middle."""
    alone = gathered(tmp_path / "alone", views)
    with workers() as start:
        killed = start(FEATURES, tmp_path / "cache", tmp_path / "k.npy", 0.1).until(9)
        killed.process.send_signal(signal.SIGKILL)
        killed.process.wait()
        kept = len(killed.begun) // 4 * 4 - 4  # all but the last four, which were being computed, for certain
        first, second = (start(FEATURES, tmp_path / "cache", tmp_path / f"{name}.npy", 0.02) for name in "ab")
        begun = first.end() + second.end()
    assert max(Counter(begun).values()) == 1, "nothing is cut or computed twice"
    assert not set(begun) & set(map(str, range(kept))), "what the killed one had finished stays"
    assert len(begun) <= 60 - kept
    for name in "ab":
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), alone, rtol=2e-3)
    np.testing.assert_allclose(gathered(tmp_path / "cache", None), alone, rtol=2e-3)
    assert not (tmp_path / "cache" / CLAIMS).exists()


# Reconstructions

RECONSTRUCTIONS = """
import sys, time
from pathlib import Path
import test_shared_caches as tests
from vestige.training import reconstruct

folder, pause = Path(sys.argv[1]), float(sys.argv[2])
original = reconstruct._pass
def slowly(*given):
    print("one", flush=True)
    time.sleep(pause)
    return original(*given)
reconstruct._pass = slowly
tests.made(folder, folder / "shared")
"""


def recipe(per_group: int = 99) -> Recipe:
    data = {"patch": 64, "views": 1, "reconstruction": {"per_group": per_group, "share": 0.5}}
    return Recipe.model_validate(recipe_values("patch-statistics", data=data))


def made(home: Path, shared: Path | None, weights: str = "weights") -> dict[int, Path]:
    rows = read_manifest(home / "set" / "manifest.csv")
    return reconstruct.reconstruct(recipe(), rows, home / weights, home / "own", Progress(), shared)


def test_processes_that_reconstruct_divide_the_pictures(tmp_path: Path) -> None:
    write_set(tmp_path / "set", groups=3, each=4)
    write_weights(tmp_path / "weights")
    with workers() as start:
        killed = start(RECONSTRUCTIONS, tmp_path, 0.3).until(3)
        killed.process.send_signal(signal.SIGKILL)
        killed.process.wait()
        kept = len(list((tmp_path / "shared").glob("*/*.png")))
        assert 2 <= kept < 12
        first, second = (start(RECONSTRUCTIONS, tmp_path, 0.2) for _ in "ab")
        begun = [len(worker.end()) for worker in (first, second)]
    assert sum(begun) == 12 - kept, "each picture is made once"
    own, shared = made(tmp_path, None), made(tmp_path, tmp_path / "shared")
    assert own.keys() == shared.keys()
    assert len(set(shared.values())) == 12
    for index, path in shared.items():
        np.testing.assert_array_equal(np.asarray(Image.open(path)), np.asarray(Image.open(own[index])))
    assert not (tmp_path / "shared" / CLAIMS).exists()


def test_shared_reconstructions_are_known_by_all_that_decides_them(tmp_path: Path) -> None:
    home, other = tmp_path / "one", tmp_path / "two"
    write_set(home / "set", groups=1, each=2)
    write_set(other / "set", groups=1, each=2, seed=1)  # other pictures of the same names
    for folder in (home, other):
        write_weights(folder / "weights")
    torch.manual_seed(5)
    state = torch.load(home / "weights" / "random_encoder.pth")
    changed = {name: torch.randn_like(value) * 0.1 for name, value in state.items()}
    write_weights(home / "others")
    torch.save(changed, home / "others" / "random_encoder.pth")
    shared = tmp_path / "shared"
    first = made(home, shared)
    assert made(home, shared) == first
    assert not set(made(other, shared).values()) & set(first.values())
    assert not set(made(home, shared, "others").values()) & set(first.values())
    assert not (home / "own").exists()
    # The same picture in another data set, under another name: found, without being made again.
    (path,) = {first[0]}
    before = path.stat().st_mtime_ns
    rows = read_manifest(home / "set" / "manifest.csv")
    renamed = [Row(rows[0].path, "another name", 0, "g")]
    found = reconstruct.reconstruct(recipe(), renamed, home / "weights", home / "own", Progress(), shared)
    assert found == {0: path}
    assert path.stat().st_mtime_ns == before


def test_structures_that_are_drawn_decide_shared_reconstructions(tmp_path: Path) -> None:
    write_dair(tmp_path / "weights")
    rows = read_manifest(write_set(tmp_path / "set", groups=1, each=6))
    shared = tmp_path / "shared"

    def files(seed: int, shared: Path | None) -> dict[int, Path]:
        seeded = dair_recipe(per_group=9).model_copy(update={"seed": seed})
        own = tmp_path / f"own-{seed}"
        return reconstruct.reconstruct(seeded, rows, tmp_path / "weights", own, Progress(), shared)

    for seed in (3, 4):
        for index, path in files(seed, shared).items():
            own = files(seed, None)[index]
            with Image.open(path) as one, Image.open(own) as other:
                assert one.info["structure"] == other.info["structure"]
                np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    same = [files(3, shared)[index] == files(4, shared)[index] for index in range(12)]
    assert not all(same)
