"""Pictures that were judged worst, small enough to look at many of them."""

import io
import textwrap
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from vestige.errors import ImageError
from vestige.evaluation.scores import Scores
from vestige.images import decode

PER_GROUP = 3  # so that one source or generator does not fill the page

_CARD, _CARD_INK = (236, 232, 221), (74, 68, 56)


def worst(scores: Scores, count: int = 12) -> tuple[list[int], list[int]]:
    """Real pictures with the highest and generated pictures with the lowest scores, the worst first.

    At most three of one group. Whether they were called wrongly too is told by `scores.verdicts`.

    Args:
        count: at most so many of each.

    Returns:
        Positions of real pictures, and of generated ones; of equal scores the first comes first.
    """
    return _first(scores, 0, -scores.logits, count), _first(scores, 1, scores.logits, count)


def thumbnail(content: Path | bytes, side: int = 160) -> bytes:
    """A small JPEG of a picture; of one that cannot be read, a card that says why.

    Args:
        content: file, or bytes of a file.
        side: longest side in pixels; small pictures are not enlarged.
    """
    try:
        picture = Image.fromarray(decode(content).pixels)
    except ImageError as error:
        return _jpeg(_text_card(f"Cannot be read. {error.reason}", side))
    picture.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return _jpeg(picture)


def _first(scores: Scores, label: int, order: npt.NDArray[np.float64], count: int) -> list[int]:
    taken: Counter[str] = Counter()
    found: list[int] = []
    for position in np.argsort(order, kind="stable").tolist():
        group = scores.groups[position]
        if scores.labels[position] == label and taken[group] < PER_GROUP and len(found) < count:
            taken[group] += 1
            found.append(position)
    return found


def _text_card(text: str, side: int) -> Image.Image:
    card = Image.new("RGB", (side, side), _CARD)
    lines = "\n".join(textwrap.wrap(text, max(8, side // 7)))
    ImageDraw.Draw(card).multiline_text(
        (8, 8), lines, fill=_CARD_INK, font=ImageFont.load_default(12), spacing=3
    )
    return card


def _jpeg(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=80, optimize=True)
    return buffer.getvalue()
