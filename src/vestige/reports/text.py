"""Text from files made safe to show and to store. File names and metadata are written by strangers."""

import re
import unicodedata

# Joiners are invisible, yet names in Persian, Hindi or with emoji need them; they reorder nothing.
_JOINERS = "\u200c\u200d"
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(r"\\u(d[89a-f][0-9a-f]{2})")


def visible(text: str, keep: str = "") -> str:
    r"""Text in which nothing is hidden: control characters and the like become escapes such as ``\x1b``.

    This takes the teeth out of terminal escape sequences, and shows characters that reverse the reading
    direction (a known way to make "gpj.exe" look like "exe.jpg").

    Args:
        text: anything, lone surrogates included (undecodable file names have them).
        keep: characters to leave as they are, such as a newline in a text of several lines.
    """
    if text.isprintable():
        return text
    return "".join(
        _escape(char)
        if unicodedata.category(char) in _HIDDEN and char not in _JOINERS and char not in keep
        else char
        for char in text
    )


def _escape(char: str) -> str:
    code = ord(char)
    if char in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[char]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def has_surrogates(text: str) -> bool:
    """Whether the text has lone surrogates, which UTF-8 cannot hold."""
    return _SURROGATE.search(text) is not None


def to_utf8(text: str) -> str:
    r"""Text that UTF-8 can hold: lone surrogates become ``\udcff``, to be undone by `from_utf8`."""
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def from_utf8(text: str) -> str:
    """Undo `to_utf8`. A file really named with such an escape is taken for an undecodable one."""
    return _ESCAPED_SURROGATE.sub(lambda match: chr(int(match[1], 16)), text)


def shorten(text: str, limit: int, note: str = " [cut: {} more characters]") -> str:
    """At most `limit` characters of the text, saying how much was left out."""
    return text if len(text) <= limit else text[:limit] + note.format(len(text) - limit)
