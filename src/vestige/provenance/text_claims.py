"""What PNG text chunks and free comments say of the picture's making."""

import re
from collections.abc import Mapping

from vestige.provenance import wording
from vestige.provenance.generators import read_fields, read_text
from vestige.provenance.source_types import aigc_label
from vestige.results import Claim

COMMENT_KEY = "comment"
"""Key of JPEG and GIF comments; PNG's own keyword is "Comment"."""

# "Created with GIMP", "CREATOR: gd-jpeg v1.0 (...), quality = 90": programs sign in comments in these words.
_SIGNED = re.compile(r"\s*(?:created (?:with|by)|file written by|creator:|software:)\s*([^\n,]{1,100})", re.I)


def text_claims(text: Mapping[str, str]) -> list[Claim]:
    """Claims of PNG text chunks ("Software", "parameters", ...) and of comments; never raises."""
    fields = {key: value for key, value in text.items() if key != COMMENT_KEY}
    return [*_png_claims(fields), *_comment_claims(text.get(COMMENT_KEY, ""))]


def _png_claims(fields: Mapping[str, str]) -> list[Claim]:
    origin = "PNG text"
    lower = {key.lower(): value for key, value in reversed(list(fields.items())[:500])}
    claims: list[Claim] = []
    for generation in read_fields(fields):
        claims += wording.generation(origin, generation)
    label = lower.get("aigc", "")
    claims += wording.source(origin, aigc_label(label), label)
    claims += wording.software(origin, lower.get("software", ""))
    claims += _signature(origin, lower.get("comment", ""))
    claims += wording.maker(origin, "names the author", lower.get("author", ""))
    claims += wording.maker(origin, "names the copyright holder", lower.get("copyright", ""))
    claims += wording.time(origin, "created", lower.get("creation time", ""))
    return claims


def _comment_claims(comment: str) -> list[Claim]:
    origin = "comment"
    generation = read_text(comment)
    if generation is not None:
        return wording.generation(origin, generation)
    return _signature(origin, comment)


def _signature(origin: str, comment: str) -> list[Claim]:
    signed = _SIGNED.match(comment)
    return wording.software(origin, signed.group(1)) if signed else []
