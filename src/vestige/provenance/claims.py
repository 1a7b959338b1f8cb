"""All claims of a file: every block read on its own, then put in order, each thing said once."""

import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

from vestige.images.picture import RawMetadata
from vestige.provenance.exif_claims import exif_claims
from vestige.provenance.iptc_claims import iptc_claims
from vestige.provenance.text_claims import text_claims
from vestige.provenance.xmp_claims import xmp_claims
from vestige.results import Claim

MAX_CLAIMS = 60
"""Claims given at most; honest files make a dozen."""

_XMP_IN_PNG = "XML:com.adobe.xmp"
# What bears on the question first, then what an editor asks next.
_KINDS = ("source_type", "generator", "prompt", "software", "camera", "credential", "author", "time")

_logger = logging.getLogger(__name__)
_Block = TypeVar("_Block")


def read_claims(metadata: RawMetadata) -> list[Claim]:
    """What a file's metadata say of the picture's making.

    Anyone can write or remove metadata: every claim is unsigned, and none enters the score of the pixels.

    Args:
        metadata: raw blocks, of any content; blocks that make no sense give no claims.

    Returns:
        Claims in a fixed order by kind (see `_KINDS`) and by block, the same thing said once. Never raises.
    """
    text = dict(metadata.text)
    packet = text.pop(_XMP_IN_PNG, "")
    xmp = metadata.xmp or packet.encode("utf-8", "replace")
    claims = [
        *_contained(exif_claims, metadata.exif or b""),
        *_contained(xmp_claims, xmp),
        *_contained(iptc_claims, metadata.iptc or b""),
        *_contained(text_claims, text),
    ]
    claims.sort(key=lambda claim: _KINDS.index(claim.kind))  # stable: blocks keep their order
    return list(_distinct(claims))[:MAX_CLAIMS]


def merged(signed: list[Claim], plain: list[Claim]) -> list[Claim]:
    """Claims of content credentials and of plain metadata in the order of `read_claims`, the former first.

    The same thing said by both stays twice: it is worth differently.

    Args:
        signed: claims of content credentials, already bounded.
        plain: what `read_claims` gave.
    """
    return sorted([*signed, *plain], key=lambda claim: _KINDS.index(claim.kind))


def _contained(read: Callable[[_Block], list[Claim]], block: _Block) -> list[Claim]:
    # The readers do not raise on any block we know of; a scan must not end on one that we do not.
    try:
        return read(block)
    except Exception:
        _logger.exception("%s failed; please report this", read.__name__)
        return []


def _distinct(claims: list[Claim]) -> Iterator[Claim]:
    """Leaves out what another block has said before in the same words, or, of cameras, at all."""
    said: set[tuple[str, str]] = set()
    cameras: set[str] = set()
    for claim in claims:
        words = claim.statement.removeprefix(claim.origin)
        key = (words, " ".join(claim.value.split())[:500])
        if key in said or (claim.kind == "camera" and cameras - {claim.origin}):
            continue
        said.add(key)
        if claim.kind == "camera":
            cameras.add(claim.origin)
        yield claim
