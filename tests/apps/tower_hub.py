"""A Hugging Face hub with one repository, on this computer."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

FILE = "/someone/tower/resolve/main/model.safetensors"
STORE = "/store/content"


class Hub(ThreadingHTTPServer):
    """Serves `content` as the hub serves large files: behind a redirect to a store.

    Attributes:
        asked: method and path of every request.
        broken: the store says 404.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.asked: list[str] = []
        self.broken = False

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def downloads(self) -> list[str]:
        """Requests for the content."""
        return [line for line in self.asked if line == f"GET {STORE}"]


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        hub = self.server
        hub.asked.append(f"{self.command} {self.path}")
        if self.path == FILE:
            self.send_response(302)
            # The store is at another host, as that of the real hub.
            self.send_header("Location", f"http://localhost:{hub.server_address[1]}{STORE}")
            self.send_header("X-Repo-Commit", "c" * 40)
            self.send_header("X-Linked-Size", str(len(hub.content)))
            self.send_header("X-Linked-ETag", f'"{hashlib.sha256(hub.content).hexdigest()}"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif self.path == STORE and not hub.broken:
            self.send_response(200)
            self.send_header("Content-Length", str(len(hub.content)))
            self.end_headers()
            if body:
                self.wfile.write(hub.content)
        else:
            self.send_response(404)
            known = self.path.startswith("/someone/tower/")
            self.send_header("X-Error-Code", "EntryNotFound" if known else "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def running(content: bytes) -> Iterator[Hub]:
    hub = Hub(content)
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        thread.join()
        hub.server_close()
