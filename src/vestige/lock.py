"""One command at a time in a folder: two of them would tear each other's files."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    path = folder / ".lock"
    while True:
        with _opened(path) as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConfigError(
                    f"{folder}: another command of vestige is at work there; wait for it or choose another "
                    "folder"
                ) from error
            except OSError as error:
                raise ConfigError(f"{path}: cannot be locked ({error.strerror or error})") from error
            if not _is_at(file, path):
                continue  # its last holder took it away after we had opened it: that one locks nobody out
            try:
                yield
            finally:
                with suppress(OSError):
                    # Else it is that of another command, or somebody else's file of this name.
                    if _is_at(file, path) and not path.stat().st_size:
                        path.unlink()
            return


def _opened(path: Path) -> IO[str]:
    refused: OSError
    for _ in range(1000):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return path.open("a")
        except (FileNotFoundError, FileExistsError) as error:
            # The folder's last user may be taking it away right now.
            refused = error
        except OSError as error:
            refused = error
            break
    raise ConfigError(f"{path.parent}: cannot be used ({refused.strerror or refused})") from refused


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
