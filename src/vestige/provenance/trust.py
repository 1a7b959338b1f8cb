"""Whom to trust: the list of root certificates that signers of content credentials are looked up in.

Vestige ships no such list: which roots belong on it is a choice, and one that ages. The user names a file.
"""

import hashlib
import os
import re
import ssl
from dataclasses import dataclass
from pathlib import Path

from vestige.errors import ConfigError
from vestige.provenance.text import one_line

VARIABLE = "VESTIGE_TRUST_ANCHORS"
_MAX_BYTES = 4 * 2**20
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")
_MARK = "BEGIN CERTIFICATE"


@dataclass(frozen=True)
class TrustList:
    """Root certificates (trust anchors) of signers.

    Attributes:
        anchors: the certificates as PEM, empty without a list.
        name: for reports: file, count and start of the SHA-256 of the file, or "none".
    """

    anchors: str = ""
    name: str = "none"


NO_TRUST_LIST = TrustList()


def load_trust_list(path: str | os.PathLike[str] | None = None) -> TrustList:
    """Read a trust list: the file named, else that of VESTIGE_TRUST_ANCHORS, else none.

    Args:
        path: a PEM file with root or intermediate certificates; text between them is passed over.

    Raises:
        ConfigError: the file cannot be read or is no list of certificates.
    """
    chosen = os.fspath(path) if path is not None else os.environ.get(VARIABLE, "")
    if not chosen:
        return NO_TRUST_LIST
    data = _read(Path(chosen))
    text = data.decode("utf-8", "replace")
    found = _CERTIFICATE.findall(text)
    if not found or len(found) != text.count(_MARK):
        raise ConfigError(f"trust list {chosen} holds no readable PEM certificates; give a PEM file of roots")
    anchors = "\n".join(found) + "\n"
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=anchors)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(
            f"trust list {chosen} holds a damaged certificate; give an intact PEM file"
        ) from error
    count = f"{len(found)} certificate{'' if len(found) == 1 else 's'}"
    digest = hashlib.sha256(data).hexdigest()[:16]
    return TrustList(anchors, f"{one_line(Path(chosen).name, 80)} ({count}, SHA-256 {digest}…)")


def _read(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise ConfigError(f"cannot read trust list {path}: {reason or error}") from error
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"trust list {path} is longer than {_MAX_BYTES} bytes; give a PEM file of roots")
    return data
