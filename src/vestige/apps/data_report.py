"""What the commands of `vestige data` say of a data set."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from vestige.data.check import Check
    from vestige.data.index import Indexed

UNREADABLE = 2  # exit code
SHOWN = 10  # stray files and problems named on the terminal; all problems are in the problems file


def report(indexed: "Indexed", looked: str) -> None:
    """Counts, findings and what was left out, on stdout."""
    from rich.table import Table
    from rich.text import Text

    found = indexed.found
    print(f"{found.name}: {found.benchmark.title} ({found.benchmark.name}), {looked}")
    table = Table(box=None, pad_edge=False)
    splits = any(line.split for line in indexed.lines)
    for column in (*(["split"] if splits else []), "group"):
        table.add_column(column, overflow="fold")
    for column in ("real", "generated", "unreadable"):
        table.add_column(column, justify="right")
    table.add_column("real: format, sides", overflow="fold")
    table.add_column("generated: format, sides", overflow="fold")
    for line in indexed.lines:
        counts = (str(line.real), str(line.generated), str(line.unreadable or ""))
        cells = (*([line.split] if splits else []), line.group, *counts, line.looks(0), line.looks(1))
        table.add_row(*map(Text, cells))
    console().print(table)
    real = sum(line.real for line in indexed.lines)
    generated = sum(line.generated for line in indexed.lines)
    print(f"in all {real} real and {generated} generated pictures")
    for finding in found.findings:
        print(f"finding: {finding}")
    _some("left out, no part of the set", found.stray)
    _some("cannot be read", [f"{path}: {reason}" for path, reason in indexed.problems])


def _some(what: str, names: list[str]) -> None:
    if not names:
        return
    print(f"{what}: {len(names)}")
    for name in names[:SHOWN]:
        # Names on the disk need not be text, and a terminal takes only that.
        print(f"  {name.encode(errors='backslashreplace').decode()}")
    if len(names) > SHOWN:
        print(f"  and {len(names) - SHOWN} more")


def console() -> "Console":
    """A console for stdout, wide enough for a file."""
    from rich.console import Console

    found = Console(highlight=False)
    if not found.is_terminal:
        found.width = 200  # a file or a pipe has no width, and folded cells are hard to search
    return found


def checked(text: str, choices: str = "full or header") -> "Check":
    """What --check says.

    Raises:
        ConfigError: neither full nor header.
    """
    from vestige.errors import ConfigError

    if text == "full":
        return "full"
    if text == "header":
        return "header"
    raise ConfigError(f"--check takes {choices}, not {text!r}")
