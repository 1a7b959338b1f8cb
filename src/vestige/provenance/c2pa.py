"""Content credentials (C2PA) of a picture: found, read, checked against a trust list, put into words.

Of a manifest that lies elsewhere only the address is told, unless it is asked for. Nothing raises: a manifest
that is damaged or hostile becomes credentials in the state "unreadable" or "invalid", with a sentence.
"""

import base64
import binascii
import importlib.metadata
import importlib.util
import io
import logging
from typing import NamedTuple

from PIL import Image

from vestige.errors import ImageError
from vestige.images import Limits, decode
from vestige.images.picture import RawMetadata
from vestige.provenance import xmp
from vestige.provenance.c2pa_claims import c2pa_claims
from vestige.provenance.c2pa_native import MAX_THUMBNAIL, MIME_TYPES
from vestige.provenance.c2pa_process import StoreReader
from vestige.provenance.c2pa_store import Described, describe, unreadable
from vestige.provenance.text import one_line
from vestige.provenance.trust import NO_TRUST_LIST, TrustList
from vestige.results import Claim, Credentials, Facts

DCTERMS = "http://purl.org/dc/terms/"
THUMBNAIL_SIDE = 160
HOW_TO_INSTALL = "Reading them needs the package c2pa-python: pip install c2pa-python"
_XMP_IN_PNG = "XML:com.adobe.xmp"
_logger = logging.getLogger(__name__)


class Found(NamedTuple):
    """Content credentials and the claims that they make."""

    credentials: Credentials
    claims: list[Claim]


class CredentialReader:
    """Reads the content credentials of pictures; any thread may call it.

    Args:
        trust: whom to trust.
        limits: `max_seconds` bounds the reading of one file's manifests; None: they are read in this process
            and without a limit, otherwise in a child process that can be killed.
        fetch: get manifests that a file only names from where it says, within `max_seconds`. Whoever made
            the file then learns that it is being looked at, and from where.
    """

    def __init__(
        self, trust: TrustList = NO_TRUST_LIST, limits: Limits | None = None, *, fetch: bool = False
    ) -> None:
        self.trust = trust
        self._fetch = fetch
        self._store = StoreReader((limits or Limits()).max_seconds)

    def read(self, data: bytes | None, facts: Facts, metadata: RawMetadata) -> Found | None:
        """Content credentials of one picture, None if the file neither holds nor names any.

        Args:
            data: the whole file; None for pixels in memory, which can only name a remote manifest.
            facts: of the file; without `has_c2pa` the C2PA library is never called.
            metadata: of the file; the XMP packet may name a remote manifest.
        """
        try:
            return self._read(data, facts, metadata)
        except Exception as error:  # a scan must not end on a manifest that we did not think of
            _logger.exception("reading content credentials failed; please report this")
            return self._found(Described(unreadable(f"{type(error).__name__} while reading them.")), None)

    def _read(self, data: bytes | None, facts: Facts, metadata: RawMetadata) -> Found | None:
        remote = remote_manifest(metadata)
        mime = MIME_TYPES.get(facts.format)
        elsewhere = not facts.has_c2pa
        if (elsewhere and (remote is None or not self._fetch)) or data is None or mime is None:
            if remote is None:
                return None
            problem = f"The manifest lies elsewhere ({remote}) and was not fetched."
            return self._found(Described(unreadable(problem)), remote)
        if importlib.util.find_spec("c2pa") is None:
            return self._found(Described(unreadable(f"{HOW_TO_INSTALL}.")), remote)
        answer = self._store.read(data, mime, self.trust.anchors, self._fetch)
        if "missing" in answer:
            reason = answer["missing"]
            return self._found(Described(unreadable(f"{HOW_TO_INSTALL} (it failed: {reason}).")), remote)
        if "store" not in answer:
            reason = one_line(answer.get("problem", ""), 200).rstrip(".") or "no reason given"
            what = f"Nothing readable came from {remote}" if elsewhere else "The manifests could not be read"
            return self._found(Described(unreadable(f"{what}: {reason}.")), remote)
        described = describe(answer["store"])
        if described.credentials.state != "unreadable":
            small = preview(answer.get("thumbnail", ""))
            credentials = described.credentials.model_copy(update={"thumbnail": small})
            described = described._replace(credentials=credentials)
        return self._found(described, remote)

    def _found(self, described: Described, remote: str | None) -> Found:
        update = {"remote": remote, "trust_list": self.trust.name}
        described = described._replace(credentials=described.credentials.model_copy(update=update))
        return Found(described.credentials, c2pa_claims(described))


def library_version() -> str:
    """Version of the C2PA library, "none" without it."""
    try:
        return importlib.metadata.version("c2pa-python")
    except importlib.metadata.PackageNotFoundError:
        return "none"


def remote_manifest(metadata: RawMetadata) -> str | None:
    """Address of a manifest that lies elsewhere, as the XMP packet names it; only a text, never fetched."""
    packet = metadata.xmp or metadata.text.get(_XMP_IN_PNG, "").encode("utf-8", "replace")
    if b"provenance" not in packet:
        return None
    for value in xmp.parse_xmp(packet).texts(DCTERMS, "provenance"):
        address = one_line(value, 500)
        if address.lower().startswith(("http://", "https://")):
            return address
    return None


def preview(encoded: str) -> str | None:
    """A thumbnail of a manifest, decoded by our own limits and encoded anew; None if that cannot be done.

    Args:
        encoded: the thumbnail's file, in base64.
    """
    try:
        data = base64.b64decode(encoded)
        picture = decode(data, Limits(max_bytes=MAX_THUMBNAIL, max_pixels=4_000_000)) if data else None
    except (ImageError, binascii.Error):
        return None
    if picture is None:
        return None
    small = Image.fromarray(picture.pixels)
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=75)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
