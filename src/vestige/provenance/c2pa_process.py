"""Reading manifests in a child process, which may crash or hang on a hostile file and harm nobody.

A library of native code cannot be interrupted from Python, only a process can. Unlike the child that decodes
a large picture, this one stays for the next file: starting it costs half a second, reading milliseconds.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import IO, cast

from vestige.provenance.c2pa_native import Answer, read_store
from vestige.provenance.c2pa_worker import READY

_START_SECONDS = 60.0  # imports on a busy computer; not part of the limit for a file


class StoreReader:
    """Reads manifest stores, one at a time; any thread may ask.

    Args:
        seconds: limit for one file; None: read in this process and without a limit, as with
            `vestige.images.Limits`.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def read(self, data: bytes, mime: str, anchors: str, remote: bool = False) -> Answer:
        """As `c2pa_native.read_store`; a crash or a file that takes too long is a `problem`, too."""
        if self._seconds is None or not sys.executable:
            return read_store(data, mime, anchors, remote)
        with self._lock:
            child = self._running()
            if child is None:  # no processes allowed here
                return read_store(data, mime, anchors, remote)
            head = {"length": len(data), "mime": mime, "anchors": anchors, "remote": remote}
            return self._ask(child, data, head, self._seconds)

    def _running(self) -> "subprocess.Popen[bytes] | None":
        # After a fork the pipes are shared with the parent process, whose answers are not ours to take.
        if self._child is None or self._owner != os.getpid() or self._child.poll() is not None:
            self._child, self._owner = _start(), os.getpid()
            if self._child is not None:
                weakref.finalize(self, _end, self._child, self._owner)
        return self._child

    def _ask(
        self, child: "subprocess.Popen[bytes]", data: bytes, head: dict[str, object], seconds: float
    ) -> Answer:
        late = threading.Event()
        to_child, from_child = cast(IO[bytes], child.stdin), cast(IO[bytes], child.stdout)
        watch = threading.Timer(seconds, _kill, (child, late))
        watch.daemon = True
        watch.start()
        try:
            to_child.write(json.dumps(head).encode() + b"\n")
            to_child.write(data)
            to_child.flush()
            line = from_child.readline()
        except OSError:
            line = b""
        finally:
            watch.cancel()
        if line.endswith(b"\n"):
            return cast(Answer, json.loads(line))
        _end(child, os.getpid())
        self._child = None
        if late.is_set():
            return Answer(problem=f"reading took longer than the limit of {seconds:g} seconds")
        return Answer(problem="the reader crashed on it")


def _start() -> "subprocess.Popen[bytes] | None":
    home = Path(__file__).resolve().parents[2]  # see vestige.images.safe
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", "vestige.provenance.c2pa_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=home,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    except OSError:
        return None
    watch = threading.Timer(_START_SECONDS, child.kill)
    watch.daemon = True
    watch.start()
    ready = cast(IO[bytes], child.stdout).readline()
    watch.cancel()
    if ready == READY:
        return child
    _end(child, os.getpid())
    return None


def _kill(child: "subprocess.Popen[bytes]", late: threading.Event) -> None:
    late.set()
    child.kill()


def _end(child: "subprocess.Popen[bytes]", owner: int) -> None:
    if os.getpid() != owner:
        return
    child.kill()
    for pipe in (child.stdin, child.stdout):
        with contextlib.suppress(OSError):  # unsent bytes of a broken pipe
            cast(IO[bytes], pipe).close()
    child.wait()
