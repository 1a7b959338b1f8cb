"""Fetch one picture from a URL: allowed hosts, checked addresses, few redirects, bounded bytes and time."""

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from urllib.parse import unquote, urljoin, urlsplit

import vestige
from vestige.apps.server.addresses import AllowList, Place, Resolve, checked_address
from vestige.apps.server.labels import label
from vestige.apps.server.refusals import RefusalError
from vestige.apps.server.uploads import Upload

REDIRECTS = 3
CHUNK = 65_536
_MOVED = {301, 302, 303, 307, 308}

Connect = Callable[[str, int, float], socket.socket]


def resolve(host: str, port: int) -> Sequence[str]:
    """All addresses of a host, by the system's resolver."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def connect(address: str, port: int, seconds: float) -> socket.socket:
    """A connection to an address; no proxy, whatever the environment says."""
    return socket.create_connection((address, port), seconds)


class Fetcher:
    """Fetches pictures.

    Args:
        allowed: hosts that may be asked.
        most_bytes: longer files are refused.
        seconds: for everything together.
        resolve: addresses of a host and port.
        connect: a socket to an address and port.
    """

    def __init__(
        self,
        allowed: AllowList,
        most_bytes: int,
        seconds: float,
        resolve: Resolve = resolve,
        connect: Connect = connect,
    ) -> None:
        self._allowed = allowed
        self._most_bytes = most_bytes
        self._seconds = seconds
        self._resolve = resolve
        self._connect = connect

    def check(self, url: str) -> None:
        """Refuse a URL before anything is asked of the network.

        Raises:
            RefusalError: it is not to be fetched.
        """
        self._allowed.place(url)

    def fetch(self, url: str) -> Upload:
        """The picture at a URL; blocks.

        Raises:
            RefusalError: the URL or what it leads to is not to be fetched, or could not be.
        """
        deadline = _Deadline(self._seconds)
        try:
            found: Upload | RefusalError = self._follow(url, deadline)
        except RefusalError as error:
            found = error
        except (OSError, http.client.HTTPException, ValueError) as error:
            found = RefusalError("fetch_failed", "The URL could not be fetched.")
            found.__cause__ = error
        finally:
            deadline.cancel()
        # A connection that was broken then can look like one that ended.
        if deadline.passed:
            raise RefusalError(
                "fetch_failed", f"Fetching the URL took longer than {self._seconds:g} seconds."
            )
        if isinstance(found, RefusalError):
            raise found
        return found

    def _follow(self, url: str, deadline: "_Deadline") -> Upload:
        place = self._allowed.place(url)
        for _ in range(REDIRECTS + 1):
            found = self._ask(place, deadline)
            if isinstance(found, bytes):
                return Upload(label(unquote(urlsplit(url).path), 1), found)
            url = urljoin(url, found)
            before, place = place, self._allowed.place(url)
            if before.scheme == "https" and place.scheme != "https":
                raise RefusalError("url_refused", "The URL leads from https to http.")
        raise RefusalError("fetch_failed", f"The URL was redirected more than {REDIRECTS} times.")

    def _ask(self, place: Place, deadline: "_Deadline") -> bytes | str:
        """What lies at a place: the file, or the URL that it moved to."""
        address = checked_address(place, self._resolve)
        plain = self._connect(address, place.port, self._seconds)
        deadline.guard(plain)
        with plain:
            if place.scheme == "http":
                return self._exchange(place, plain)
            # By its name and not by its address, so that the certificate is checked against the name.
            with ssl.create_default_context().wrap_socket(plain, server_hostname=place.host) as secure:
                deadline.guard(secure)
                return self._exchange(place, secure)

    def _exchange(self, place: Place, line: socket.socket) -> bytes | str:
        connection = http.client.HTTPConnection(place.host, place.port, timeout=self._seconds)
        connection.sock = line  # connected already, to the address that was checked
        connection.auto_open = 0
        connection.putrequest("GET", place.target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", place.host_header)
        connection.putheader("Accept", "image/*")
        connection.putheader("User-Agent", f"vestige/{vestige.__version__}")
        connection.putheader("Connection", "close")
        connection.endheaders()
        with connection.getresponse() as response:
            if response.status in _MOVED:
                moved = response.getheader("Location")
                if not moved:
                    raise RefusalError("fetch_failed", "The URL was redirected to nowhere.")
                return moved
            if response.status != 200:
                raise RefusalError("fetch_failed", f"The URL was answered with status {response.status}.")
            if (response.getheader("Content-Encoding") or "identity").lower() != "identity":
                raise RefusalError("fetch_failed", "The file came compressed, which was not asked for.")
            return self._body(response)

    def _body(self, response: http.client.HTTPResponse) -> bytes:
        too_long = RefusalError(
            "too_large", f"The file at the URL is longer than the limit of {self._most_bytes} bytes."
        )
        if (response.length or 0) > self._most_bytes:
            raise too_long
        data = bytearray()
        while chunk := response.read(CHUNK):
            data += chunk
            if len(data) > self._most_bytes:
                raise too_long
        if response.length:
            raise RefusalError("fetch_failed", "The file at the URL ended early.")
        return bytes(data)


class _Deadline:
    """Breaks connections when the time is over: timeouts of sockets begin anew with every byte."""

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._break)
        self._timer.daemon = True
        self._timer.start()

    def guard(self, line: socket.socket) -> None:
        with self._lock:
            self._socket = line
            passed = self.passed
        if passed:
            raise TimeoutError

    def cancel(self) -> None:
        self._timer.cancel()

    def _break(self) -> None:
        with self._lock:
            self.passed = True
            line = self._socket
        if line is not None:
            with contextlib.suppress(OSError):  # closed already
                line.shutdown(socket.SHUT_RDWR)
