"""Names of uploaded files. They are labels in an answer and nothing else: no file is ever opened by them."""

import re
import unicodedata

LONGEST = 200  # characters
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def label(name: str, number: int) -> str:
    """A name that is safe to show: the last part of a path, nothing hidden in it, of bounded length.

    Args:
        name: as the client sent it.
        number: position of the picture in the request, from 1; names what is left without a name.
    """
    last = re.split(r"[/\\]", name)[-1]
    shown = "".join(letter for letter in last if unicodedata.category(letter) not in _HIDDEN).strip()
    if len(shown) > LONGEST:
        shown = shown[: LONGEST - 1] + "…"
    return shown if shown.strip(".") else f"picture-{number}"
