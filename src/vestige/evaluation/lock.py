"""One command at a time in a folder: two of them would tear each other's files."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(
                f"{folder}: another command of vestige is at work there; wait for it or choose another folder"
            ) from error
        yield
        path.unlink(missing_ok=True)
