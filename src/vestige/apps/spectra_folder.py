"""The folder of `vestige spectra`: whose it is, and files that are written whole or not at all."""

import json
from pathlib import Path
from typing import Any

from vestige.errors import ConfigError

SETTINGS = "settings.json"


def claim(out: Path, settings: dict[str, Any]) -> None:
    """Make the folder this comparison's own, or make sure that it is.

    Args:
        settings: all that must be the same for what is there to be used again; JSON values.

    Raises:
        ConfigError: it holds another comparison, or something else.
    """
    path = out / SETTINGS
    if path.exists():
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            other = [key for key, value in settings.items() if known.get(key) != value]
        except (ValueError, AttributeError) as error:
            raise ConfigError(f"{path}: cannot be read ({error}); choose another folder") from error
        if other:
            raise ConfigError(
                f"{out}: these spectra were begun with another {', '.join(other)}; choose another folder"
            )
        return
    if any(found.name != ".lock" for found in out.glob("*")):
        raise ConfigError(f"{out}: not empty and without {SETTINGS}; choose another folder")
    write(path, (json.dumps(settings, indent=2) + "\n").encode())


def write(path: Path, content: bytes) -> None:
    """Write a file; a kill leaves the one from before."""
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(content)
    partial.replace(path)
