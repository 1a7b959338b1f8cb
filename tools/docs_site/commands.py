"""The help of every command, as the terminal shows it."""

from typing import Any

from typer.main import get_command

from docs_site.made import MadePage
from vestige.apps.cli import app

WIDTH = 94
SECTION = "Reference"
# Commands of the field kit; all others need the extra `train` and stand on a page of their own.
FIELD_KIT = ("scan", "inspect", "serve", "fetch", "models", "bulk")
_HEAD = "What `vestige COMMAND --help` says, of version {version}."


def command_pages() -> list[MadePage]:
    """Two pages: commands that judge pictures, and commands that make and measure detectors."""
    import vestige

    helps = all_helps()
    kit = {name: text for name, text in helps.items() if name == "" or name.split()[0] in FIELD_KIT}
    workshop = {name: text for name, text in helps.items() if name not in kit}
    head = _HEAD.format(version=vestige.__version__)
    return [
        MadePage(
            "reference/commands.md",
            "Commands: judge",
            _page("Commands that judge pictures", head, kit),
            SECTION,
            stands_for=("src/vestige/apps/cli.py",),
        ),
        MadePage(
            "reference/workshop-commands.md",
            "Commands: make and measure",
            _page(
                "Commands that make and measure detectors", f"{head} They need the extra `train`.", workshop
            ),
            SECTION,
        ),
    ]


def all_helps() -> dict[str, str]:
    """Name of each command without `vestige` ("" for all of it, "data index" ...) -> its help."""
    found: dict[str, str] = {}
    _walk(get_command(app), [], None, found)
    return found


def _walk(command: Any, name: list[str], parent: Any, found: dict[str, str]) -> None:
    # Typer may bring its own copy of click, so there are no types to name here.
    context = command.context_class(
        command,
        info_name=name[-1] if name else "vestige",
        parent=parent,
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        color=False,
    )
    found[" ".join(name)] = command.get_help(context)
    for other, inner in getattr(command, "commands", {}).items():
        _walk(inner, [*name, other], context, found)


def _page(title: str, head: str, helps: dict[str, str]) -> str:
    parts = [f"# {title}", head]
    for name, text in helps.items():
        parts.append(f"## vestige {name}".rstrip())
        parts.append(f"```text\n{text.strip()}\n```")
    return "\n\n".join(parts) + "\n"
