"""One command at a time in a folder: two of them would tear each other's files."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from vestige.errors import ConfigError


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold a folder for this process; the system lets go of it whatever the end of the process.

    Where the system has no such locks (Windows), nothing is held.

    Raises:
        ConfigError: another process holds it.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".lock"
    while True:
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ConfigError(
                    f"{folder}: another command of vestige is at work there; wait for it or choose another "
                    "folder"
                ) from error
            if not _is_at(file, path):
                continue  # its last holder took it away after we had opened it: that one locks nobody out
            yield
            path.unlink(missing_ok=True)
            return


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
