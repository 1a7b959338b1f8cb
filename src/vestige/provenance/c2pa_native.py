"""The one place that calls the C2PA library: bytes of a file in, its manifest store as JSON out.

Each call brings its own settings: those of the library's older functions belong to a thread and are lost in
others. Nothing here asks the network, neither for manifests that lie elsewhere (unless the caller says so)
nor whether a certificate was revoked, nor for keys of identity assertions.
"""

import base64
import contextlib
import io
import json
from typing import Any, TypedDict

from vestige.provenance.text import one_line

MAX_STORE = 2_000_000
"""Characters of a manifest store as JSON; honest ones have a few hundred thousand at most."""
MAX_THUMBNAIL = 2**20
_MAX_UNPACKED_MEGABYTES = 16

MIME_TYPES = {
    "JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "TIFF": "image/tiff", "GIF": "image/gif",
    "AVIF": "image/avif", "HEIF": "image/heif",
}  # fmt: skip


class Answer(TypedDict, total=False):
    """What reading gave: `store` (JSON text) and perhaps `thumbnail` (base64), or why there is none.

    `missing` if the library cannot be used here, `problem` if it could not read the manifests.
    """

    store: str
    thumbnail: str
    missing: str
    problem: str


def read_store(data: bytes, mime: str, anchors: str, remote: bool = False) -> Answer:
    """Read and check the manifest store inside a file; takes a few milliseconds and never raises.

    Args:
        data: the whole file.
        mime: its type.
        anchors: PEM root certificates of trusted signers, empty for none.
        remote: fetch a manifest that the file only names.
    """
    try:
        import c2pa
    except Exception as error:  # a missing or unfitting native library ends in several types
        return Answer(missing=one_line(str(error), 200))
    try:
        with (
            c2pa.Context.from_dict(_settings(anchors, remote)) as context,
            c2pa.Reader(mime, io.BytesIO(data), context=context) as reader,
        ):
            store = reader.json()
            if len(store) > MAX_STORE:
                return Answer(problem=f"the manifests are longer than {MAX_STORE} characters")
            answer = Answer(store=store)
            with contextlib.suppress(c2pa.C2paError, ValueError, KeyError, TypeError, RecursionError):
                answer["thumbnail"] = _thumbnail(reader, json.loads(store))
            return answer
    except c2pa.C2paError as error:
        return Answer(problem=one_line(str(error), 200) or type(error).__name__)
    except Exception as error:
        return Answer(problem=one_line(f"{type(error).__name__}: {error}", 200))


def _settings(anchors: str, remote: bool) -> dict[str, Any]:
    hosts: dict[str, Any] = {} if remote else {"allowed_network_hosts": []}
    trust = {"trust": {"trust_anchors": anchors}} if anchors else {}
    return trust | {
        "version": 1,
        "verify": {
            "verify_after_reading": True,
            "verify_trust": True,
            "verify_timestamp_trust": True,
            "ocsp_fetch": False,
            "remote_manifest_fetch": remote,
        },
        "core": {
            **hosts,
            "decode_identity_assertions": False,
            "max_decompressed_manifest_size_in_mb": _MAX_UNPACKED_MEGABYTES,
        },
    }


class _Bounded(io.BytesIO):
    """A stream that refuses more than a thumbnail."""

    def write(self, data: Any, /) -> int:
        if self.tell() + len(data) > MAX_THUMBNAIL:
            raise ValueError("the thumbnail is too long")
        return super().write(data)


def _thumbnail(reader: Any, store: dict[str, Any]) -> str:
    active = store["manifests"][store["active_manifest"]]
    stream = _Bounded()
    reader.resource_to_stream(active["thumbnail"]["identifier"], stream)
    return base64.b64encode(stream.getvalue()).decode("ascii")
