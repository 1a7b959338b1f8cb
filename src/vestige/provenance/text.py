"""Text of unknown origin made safe to keep and to print."""

import re

VALUE_LIMIT = 20_000
"""Characters of a found text that a claim keeps."""

_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # OSC: window title, links
    r"|\x1b[ -/]*[0-~]"  # two-character escapes
)
# Controls, and characters that reorder or hide the text around them, are dropped. Joiners (200C, 200D) stay:
# Persian, Hindi and emoji need them.
_UNSAFE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_LINE_BREAKS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"\s+")


def clean(text: str, limit: int = VALUE_LIMIT) -> str:
    """The text without terminal escapes, controls and invisible characters; tabs and line breaks stay.

    Args:
        text: any string, lone surrogates included.
        limit: characters kept at most; a longer text ends in an ellipsis.
    """
    # Cut before cleaning, so that the work is bounded; twice the limit leaves room for what falls away.
    text = text[: 2 * limit + 1]
    text = _LINE_BREAKS.sub("\n", _ESCAPES.sub("", text))
    text = _SURROGATES.sub("\ufffd", _UNSAFE.sub("", text)).strip()
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def one_line(text: str, limit: int = 100) -> str:
    """`clean`, on one line, for use inside a sentence."""
    text = _SPACE.sub(" ", clean(text, 4 * limit)).strip()
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def decode(data: bytes) -> str:
    """Bytes of an undeclared encoding as text: UTF-8 where that is valid, Latin-1 otherwise."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
