"""What a generator wrote about one picture, in one shape for all generators."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vestige.provenance.text import one_line

MAX_JSON_CHARACTERS = 2_000_000

_ORDER = ("model", "sampler", "steps", "seed", "cfg", "size", "version")
_WORDS = {
    "model": "model {}",
    "sampler": "sampler {}",
    "steps": "{} steps",
    "seed": "seed {}",
    "cfg": "CFG scale {}",
    "size": "size {}",
    "version": "version {}",
}


@dataclass(frozen=True)
class Generation:
    """One generator's record.

    Attributes:
        what: what the file holds, with its article ("a ComfyUI workflow", "NovelAI parameters").
        raw: the record as found.
        prompt, negative: what was asked for, and what was to be avoided.
        settings: "model", "sampler", "steps", "seed", "cfg", "size", "version", "model_hash" as text.
        edited: the record shows that an existing picture was only worked on.
    """

    what: str
    raw: str
    prompt: str = ""
    negative: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    edited: bool = False

    def summary(self) -> str:
        """The settings as words ("model X, 20 steps"); empty without settings."""
        settings = dict(self.settings)
        if not settings.get("model") and settings.get("model_hash"):
            settings["model"] = f"hash {settings['model_hash']}"
        return ", ".join(
            _WORDS[name].format(one_line(settings[name], 80)) for name in _ORDER if settings.get(name)
        )


def read_object(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is, or None; bounded, and without surprises for hostile numbers."""
    text = text.strip("\0\ufeff \t\r\n")
    if not text.startswith("{") or len(text) > MAX_JSON_CHARACTERS:
        return None
    try:
        found = json.loads(text, parse_int=_integer)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _integer(digits: str) -> int | str:
    # Converting a number of a million digits takes minutes; no seed has more than twenty.
    return int(digits) if len(digits) <= 40 else digits


def scalar(value: object) -> str:
    """A JSON value as short text if it is text or a number, otherwise an empty string."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    return one_line(str(value), 200)


def first(record: Mapping[str, Any], names: Iterable[str]) -> str:
    """The first of the named values that is text or a number, as short text."""
    return next((text for name in names if (text := scalar(record.get(name)))), "")


def long_text(value: object) -> str:
    """A JSON value as text of any length: text as it is, a list of texts line by line, otherwise empty."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(item for item in value[:100] if isinstance(item, str))
    return ""


def size(record: Mapping[str, Any]) -> str:
    """Width and height of a record as "512x768", or an empty string."""
    width, height = first(record, ("width", "Width", "W")), first(record, ("height", "Height", "H"))
    return f"{width}x{height}" if width and height else ""
