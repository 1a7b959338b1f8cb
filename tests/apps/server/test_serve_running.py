"""`vestige serve` in a process of its own, over real sockets: slow bodies, kills, and stopping."""

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from serve_samples import picture, settings_of

COMMAND = [sys.executable, "-c", "from vestige.apps.cli import main; main()", "serve"]
unix = pytest.mark.skipif(sys.platform == "win32", reason="the server is stopped by signals")


class Running:
    """A server, and what it wrote to stderr."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[str] = []
        self._listening = threading.Event()
        self.port = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        assert self._listening.wait(60), self.lines

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            found = re.search(r"listening on http://127.0.0.1:(\d+)", line)
            if found:
                self.port = int(found[1])
                self._listening.set()
        self._listening.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def line(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 60)

    def ended(self) -> int:
        code = self.process.wait(60)
        self._reader.join(60)
        return code


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Running]:
    settings = settings_of(folder)
    command = [*COMMAND, "--port", "0", "--model", settings.models[0], "--extractor", str(settings.extractor)]
    process = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True)
    try:
        yield Running(process)
    finally:
        process.kill()
        process.wait(60)


def head(length: int | None, extra: str = "") -> bytes:
    size = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return f"POST /v1/scan HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n{size}\r\n{extra}\r\n".encode()


def all_of(line: socket.socket) -> bytes:
    found = b""
    while part := line.recv(65536):
        found += part
    return found


def body_of(answer: bytes) -> dict[str, object]:
    """The JSON of a raw answer, which must be as long as it says."""
    start, _, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: (\d+)", start)
    assert length is not None
    assert len(body) == int(length[1])
    found = json.loads(body)
    assert isinstance(found, dict)
    return found


@unix
def test_limits_hold_on_real_connections(tmp_path: Path) -> None:
    options = ("--max-megabytes", "0.1", "--max-request-megabytes", "0.2", "--body-seconds", "0.5")
    data = picture()
    with running(tmp_path, *options) as server:
        with server.line() as line:  # a body that stops
            line.sendall(head(len(data)) + data[:50])
            answer = all_of(line)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert body_of(answer)["error"]["code"] == "slow_body"  # type: ignore[index]

        long = bytes(8_000_000)  # more than the system's buffers: it is still being sent at the refusal
        for content in (long, iter([long[:100_000]] * 80)):
            answered = httpx.post(
                f"{server.url}/v1/scan", content=content, headers={"Content-Type": "image/png"}
            )
            assert answered.status_code == 413
            assert answered.json()["error"]["code"] == "too_large"

        with server.line() as line:  # whoever asks first need not send it
            line.sendall(head(8_000_000, "Expect: 100-continue\r\n"))
            assert line.recv(65536).startswith(b"HTTP/1.1 413 ")

        with server.line() as line:  # who leaves in the middle
            line.sendall(head(len(data)) + data[:50])
        with server.line() as line:  # headers without end
            line.sendall(b"GET / HTTP/1.1\r\nX: " + b"y" * 200_000)
            assert line.recv(65536)[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 431", b"")

        assert httpx.post(f"{server.url}/v1/scan", content=data).status_code == 200
        assert server.process.poll() is None
    assert not [line for line in server.lines if "Traceback" in line]


@unix
def test_stopping_answers_what_was_accepted(tmp_path: Path) -> None:
    data = picture(230)
    with running(tmp_path, "--drain-seconds", "1.5") as server:
        with server.line() as line:
            line.sendall(head(len(data)) + data[:100])
            deadline = time.monotonic() + 30
            while "vestige_queue_length 1.0" not in httpx.get(f"{server.url}/metrics").text:
                assert time.monotonic() < deadline
            with httpx.Client(base_url=server.url) as client:
                assert client.get("/readyz").status_code == 200
                server.process.send_signal(signal.SIGTERM)
                while (ready := client.get("/readyz")).status_code == 200:
                    assert time.monotonic() < deadline
                assert (ready.status_code, ready.json()["status"]) == (503, "stopping")
                late = client.post("/v1/scan", content=data)
                assert (late.status_code, late.json()["error"]["code"]) == (503, "shutting_down")
            while True:  # the door closes
                try:
                    httpx.get(f"{server.url}/healthz")
                except httpx.TransportError:
                    break
                assert time.monotonic() < deadline
            line.sendall(data[100:])
            answer = all_of(line)
        assert server.ended() in (0, -signal.SIGTERM)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert body_of(answer)["reports"][0]["verdict"] == "likely_generated"  # type: ignore[index]
    assert not [line for line in server.lines if "Traceback" in line]


@unix
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_every_answer_that_came_is_whole(tmp_path: Path, how: signal.Signals) -> None:
    files = [("files", (f"{number}.png", picture(230, seed=number))) for number in range(4)]
    answers: list[httpx.Response] = []
    lost: list[Exception] = []
    enough = threading.Event()

    def client(url: str) -> None:
        try:
            while True:
                answers.append(httpx.post(f"{url}/v1/scan?map=true", files=files, timeout=60))
                if len(answers) > 12:
                    enough.set()
        except httpx.TransportError as error:
            lost.append(error)

    with running(tmp_path, "--concurrent", "2") as server:
        threads = [threading.Thread(target=client, args=(server.url,), daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        assert enough.wait(60)
        server.process.send_signal(how)
        server.ended()
        for thread in threads:
            thread.join(60)
    assert len(lost) == 4
    assert {answer.status_code for answer in answers} <= {200, 503}
    whole = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(whole) > 12 - 4
    for answer in whole:
        assert [report["path"] for report in answer["reports"]] == [f"{number}.png" for number in range(4)]
        assert len(answer["maps"]) == 4
    if how == signal.SIGTERM:
        # Those that were under way were answered: no connection broke while an answer was awaited.
        assert not [error for error in lost if isinstance(error, httpx.ReadError)]
