"""From which addresses a picture may be fetched: hosts on a list, at addresses that are on the internet."""

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from vestige.apps.server.refusals import RefusalError
from vestige.errors import ConfigError

LONGEST = 2048  # characters of a URL
_PORTS = {"http": 80, "https": 443}
# All that is given out for the internet. Beyond it lie, among others, addresses that stand for IPv4 ones.
_GIVEN_OUT = ipaddress.ip_network("2000::/3")
# Within it, tunnels: they carry an IPv4 address, to which they may deliver.
_TUNNELS = (ipaddress.ip_network("2001::/32"), ipaddress.ip_network("2002::/16"))

Resolve = Callable[[str, int], Sequence[str]]


@dataclass(frozen=True)
class Place:
    """Where a request goes.

    Attributes:
        host: in lower case, in ASCII.
        target: path and query, as in the first line of a request.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def host_header(self) -> str:
        """What the request says in its header Host."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == _PORTS[self.scheme] else f"{name}:{self.port}"


class AllowList:
    """Hosts from which pictures may be fetched.

    Args:
        entries: HOST, which means the usual port of the scheme, or HOST:PORT; no patterns.

    Raises:
        ConfigError: an entry is no host.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        self._places: set[tuple[str, int | None]] = set()
        for entry in entries:
            try:
                parts = urlsplit(f"//{entry}")
                host, port = _ascii(parts.hostname or ""), parts.port
            except ValueError as error:
                raise _no_host(entry) from error
            if not host or parts.path or parts.query or parts.fragment or "@" in entry or "*" in entry:
                raise _no_host(entry)
            self._places.add((host, port))

    def __bool__(self) -> bool:
        return bool(self._places)

    def place(self, url: str) -> Place:
        """Where a URL leads, if it may be asked.

        Raises:
            RefusalError: it is no URL of http or https, has a user in it, or its host is not on the list.
        """
        if len(url) > LONGEST or not url.isprintable() or " " in url or "\\" in url:
            raise RefusalError("url_refused", "This is not a URL that can be fetched.")
        try:
            parts = urlsplit(url)
            host, port = _ascii(parts.hostname or ""), parts.port
        except ValueError as error:
            raise RefusalError("url_refused", "This is not a URL that can be fetched.") from error
        scheme = parts.scheme.lower()
        if scheme not in _PORTS:
            raise RefusalError("url_refused", "Only http and https URLs are fetched.")
        if parts.username is not None or parts.password is not None:
            raise RefusalError("url_refused", "URLs with a user or a password are not fetched.")
        port = _PORTS[scheme] if port is None else port
        if (host, port) not in self._places and not (port == _PORTS[scheme] and (host, None) in self._places):
            raise RefusalError("url_refused", "The host of this URL is not on this server's list.")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if not target.isascii():
            raise RefusalError("url_refused", "Letters beyond ASCII must be percent-encoded in a URL.")
        return Place(scheme, host, port, target)


def checked_address(place: Place, resolve: Resolve) -> str:
    """The address to connect to.

    Raises:
        RefusalError: the host has no address, or one of them is not on the internet; a single such address
            refuses the host, because whoever set it there may also have set the others.
    """
    try:
        found = list(resolve(place.host, place.port))
    except (OSError, UnicodeError) as error:
        raise RefusalError("fetch_failed", "The host of this URL was not found.") from error
    if not found:
        raise RefusalError("fetch_failed", "The host of this URL was not found.")
    if not all(is_public(address) for address in found):
        raise RefusalError(
            "url_refused", "The host of this URL lies at an address that is not on the internet."
        )
    return found[0]


def is_public(text: str) -> bool:
    """Whether an address is one of the internet: nothing private, local, reserved, or of a group."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if address.version == 6 and (
        address not in _GIVEN_OUT or any(address in network for network in _TUNNELS)
    ):
        return False
    return address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or address.is_unspecified
        or address.is_loopback
        or address.is_link_local
        or address.is_private
    )


def _ascii(host: str) -> str:
    return host.encode("idna").decode("ascii").lower() if not host.isascii() else host.lower()


def _no_host(entry: str) -> ConfigError:
    return ConfigError(f"--allow-url {entry}: not a host; give HOST or HOST:PORT")
