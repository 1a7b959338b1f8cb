"""A running server, and what its page is given and watched for, for the tests of the web page."""

import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from vestige.apps.server.app import create_app
from vestige.apps.server.running import listen
from vestige.apps.server.settings import ServerSettings

EXAMPLES = Path(__file__).parents[4] / "examples"
REAL, GENERATED = EXAMPLES / "real/china.jpg", EXAMPLES / "generated/redecoded-coffee.jpg"
PATIENCE = 10_000  # milliseconds, for what a busy computer may do slowly


class Site:
    """A server that runs, and its application."""

    def __init__(self, url: str, app: Any) -> None:
        self.url = url
        self.app = app


@contextmanager
def site(**settings: Any) -> Iterator[Site]:
    """A server under uvicorn in a thread, on a free port."""
    app = create_app(ServerSettings(**{"threads": 1, "decoders": 2, **settings}))
    line = listen("127.0.0.1", 0)
    server = uvicorn.Server(
        uvicorn.Config(app, log_config=None, log_level="critical", ws="none", lifespan="on")
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [line]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield Site(f"http://127.0.0.1:{line.getsockname()[1]}/", app)
    finally:
        server.should_exit = server.force_exit = True
        thread.join(30)


def chromium_path() -> str | None:
    """The browser to test with, None if there is none."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = (os.environ.get("VESTIGE_CHROMIUM"), *(shutil.which(name) for name in names))
    return next((path for path in found if path), None)


class Watch:
    """What pages did that they should not."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self.foreign: list[str] = []
        self.errors: list[str] = []
        self.statuses: set[int] = set()

    def on(self, page: Any) -> None:
        page.on("request", self._request)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _request(self, request: Any) -> None:
        if not request.url.startswith((self._origin, "blob:" + self._origin, "data:image/")):
            self.foreign.append(request.url)

    def _console(self, message: Any) -> None:
        # Browsers report every refusal of a server; `statuses` says which of them a test asked for.
        refused = re.search(r"server responded with a status of (\d+)", message.text)
        if refused:
            self.statuses.add(int(refused[1]))
        elif message.type in ("error", "warning") and "net::ERR_FAILED" not in message.text:
            self.errors.append(message.text)


OpenPage = Callable[..., Any]


def payload(file: Any) -> dict[str, Any]:
    """A file as playwright takes it; paths are read, since it mixes no paths with bytes."""
    if isinstance(file, dict):
        return file
    kind = "image/png" if file.suffix == ".png" else "image/jpeg"
    return {"name": file.name, "mimeType": kind, "buffer": file.read_bytes()}


def give(page: Any, *files: Any) -> Any:
    """Choose pictures, and wait until something is known about each; gives the cards of the page."""
    before = page.locator(".card").count()
    page.set_input_files("#files", [payload(file) for file in files])
    settled = page.locator(".card[aria-busy=false]")
    playwright = pytest.importorskip("playwright.sync_api")
    playwright.expect(settled).to_have_count(before + len(files), timeout=PATIENCE)
    return page.locator(".card")
