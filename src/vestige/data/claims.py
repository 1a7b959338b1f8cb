"""Which work of a shared folder is being done by whom, so that processes divide it.

FOLDER/.claims/ID.claim  keys that a process works on, held by a lock for as long as it lives
FOLDER/.claims/choosing  held while a process looks for work that nobody has

Claims only save work. Results must be right without them: where the system has no such locks (Windows, some
network disks) two processes may do the same, and whoever is last puts his result in place of an equal one.

A claim of a process on this machine is over as soon as its lock is free: the system lets go of it whatever
the end of the process. A claim is also over if it was not renewed for `STALE` seconds, which its process does
every `RENEWED` of them: that of a process that was stopped, or on a machine that is gone.
"""

import json
import os
import platform
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import IO, TypeVar

CLAIMS = ".claims"
STALE = 120.0
RENEWED = 10.0
WAITED = 0.2  # seconds between two looks at what another process works on
CHOOSING = 10.0  # seconds after which a process chooses without waiting for its turn any longer

_ME = uuid.uuid4().hex  # process numbers come again in other containers

T = TypeVar("T")
Unit = TypeVar("Unit")


class Claims:
    """The claims of a folder, and this process's own one. Used as a context, which ends its claim.

    Args:
        folder: what is shared; its claims are in a folder of their own in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / CLAIMS
        self._path = self.folder / f"{uuid.uuid4().hex}.claim"
        self._file: IO[str] | None = None
        self._over = Event()

    def __enter__(self) -> "Claims":
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()  # and with it the thread that renews
        if self._file is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)
        with suppress(OSError):  # it is not there, or read-only, or another process has just begun
            if not any(self.folder.glob("*.claim")):
                (self.folder / "choosing").unlink(missing_ok=True)
                self.folder.rmdir()

    def choose(self, lacking: Callable[[], Sequence[tuple[Unit, Sequence[str]]]]) -> tuple[list[Unit], int]:
        """Claim what is to be done and nobody works on.

        Args:
            lacking: what is not done yet, each with its keys; called when no other process chooses. A unit
                of which another process has claimed any key is left to it.

        Returns:
            What is now claimed, in place of whatever this process had claimed before; and how many units
            other processes work on.
        """
        with self._turn():
            wanted = lacking()
            if not wanted:
                return [], 0
            taken = self.of_others()
            mine = [(unit, keys) for unit, keys in wanted if taken.isdisjoint(keys)]
            self._claim([key for _, keys in mine for key in keys])
        return [unit for unit, _ in mine], len(wanted) - len(mine)

    def of_others(self) -> set[str]:
        """Keys that living processes have claimed, this one apart."""
        found: set[str] = set()
        now = _now(self.folder)
        for path in self.folder.glob("*.claim"):
            if path != self._path:
                found.update(_keys_of(path, now))
        return found

    def _claim(self, keys: Sequence[str]) -> None:
        if not keys and self._file is None:
            return
        with suppress(OSError):  # without a claim the work is only not divided
            if self._file is None:
                self._begin()
            assert self._file is not None
            line = json.dumps({"host": platform.node(), "process": _me(), "keys": list(keys)})
            self._file.seek(0)
            self._file.truncate()
            self._file.write(line + "\n")
            self._file.flush()

    def _begin(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self._path.open("x", encoding="utf-8")
        _locked(file)
        self._file = file
        Thread(target=self._renew, daemon=True).start()

    def _renew(self) -> None:
        while not self._over.wait(RENEWED):
            with suppress(OSError):
                os.utime(self._path)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One process after the other; after `CHOOSING` seconds without more ado."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            file = (self.folder / "choosing").open("w", encoding="utf-8")
        except OSError:  # read-only: nothing will be written either
            yield
            return
        with file:
            until = time.monotonic() + CHOOSING
            while _locked(file) is False and time.monotonic() < until:
                time.sleep(0.01)
            os.utime(file.name)  # the clock of `_now`
            yield


def divide(
    folder: Path,
    tasks: Sequence[T],
    lacking: Callable[[T], Sequence[tuple[Unit, Sequence[str]]]],
    do: Callable[[Sequence[Unit]], None],
    track: Callable[[Sequence[T]], Iterator[T]] = iter,
) -> None:
    """Do all tasks together with whatever other processes do in the same folder at the same time.

    What another process works on is left for later; when nothing else is to be done, this one waits for it,
    and does it if that process ends without having done it.

    Args:
        tasks: what is claimed at once.
        lacking: units of a task that are not done yet, each with the keys that processes know it by.
        do: does units of one task, and leaves them so that `lacking` finds them done, in any process.
        track: shows progress through the tasks.
    """
    if not tasks:
        return
    with Claims(folder) as claims:
        later: list[T] = []
        for task in track(tasks):
            if _done(claims, task, lacking, do):
                later.append(task)
        while later:
            before, later = later, [task for task in later if _done(claims, task, lacking, do)]
            if len(later) == len(before):
                time.sleep(WAITED)


def _done(
    claims: Claims,
    task: T,
    lacking: Callable[[T], Sequence[tuple[Unit, Sequence[str]]]],
    do: Callable[[Sequence[Unit]], None],
) -> int:
    """Do what of a task nobody else does; how many units others work on."""
    mine, others = claims.choose(lambda: lacking(task))
    if mine:
        do(mine)
    return others


def _me() -> str:
    return f"{_ME}-{os.getpid()}"  # a forked process is another one


def _keys_of(path: Path, now: float) -> list[str]:
    """Keys of a claim that is not over; files of claims that are over are removed."""
    try:
        with _opened(path) as file:
            claim = json.loads(file.read())
            if claim["host"] == platform.node():
                if claim["process"] == _me():
                    return []  # nobody waits for himself
                if _locked(file) is True:
                    path.unlink(missing_ok=True)
                    return []
            if now - path.stat().st_mtime > STALE:
                return []
            return list(map(str, claim["keys"]))
    except (OSError, ValueError, KeyError, TypeError):  # gone, or its owner is about to write it
        return []


def _now(folder: Path) -> float:
    """The time by the clock of the disk, which is that of the claims."""
    try:
        return (folder / "choosing").stat().st_mtime
    except OSError:
        return time.time()


def _opened(path: Path) -> IO[str]:
    try:
        return path.open("r+", encoding="utf-8")  # network disks lock only what may be written
    except PermissionError:  # of another user
        return path.open(encoding="utf-8")


def _locked(file: IO[str]) -> bool | None:
    """Lock an open file until it is closed; False if another has it, None where there are no locks."""
    try:
        import fcntl
    except ImportError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # this disk has none
        return None
    return True
