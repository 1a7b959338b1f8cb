"""Limits of `vestige serve`: what is too long, too slow, too much at a time."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from serve_samples import PNG, calling, form, named, picture, serving, settings_of

from vestige.apps.server.app import create_app
from vestige.apps.server.gate import Gate
from vestige.apps.server.refusals import RefusalError
from vestige.apps.server.settings import ServerSettings, read_token
from vestige.errors import ConfigError


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def receive_of(chunks: list[bytes], taken: list[int]) -> AsyncIterator[dict[str, Any]]:
    for number, chunk in enumerate(chunks):
        taken.append(number)
        yield {"type": "http.request", "body": chunk, "more_body": number + 1 < len(chunks)}


def call(app: Any, chunks: list[bytes], headers: dict[str, str]) -> tuple[int, int, dict[bytes, bytes]]:
    """Status, chunks taken before the answer began, headers of the answer: spoken in plain ASGI."""
    taken: list[int] = []
    before: list[int] = []
    answer: dict[str, Any] = {}
    source = receive_of(chunks, taken)

    async def receive() -> dict[str, Any]:
        return await anext(source, {"type": "http.disconnect"})

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            before.append(len(taken))
            answer.update(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/scan",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
    asyncio.run(app(scope, receive, send))
    return answer["status"], before[0], dict(answer["headers"])


CHUNK = b"\x89PNG\r\n\x1a\n" + bytes(992)


def test_a_picture_that_grows_too_long_is_refused_while_it_arrives(tmp_path: Path) -> None:
    app = create_app(settings_of(tmp_path, max_picture_bytes=5_000, max_request_bytes=20_000))
    headers = {**PNG, "Transfer-Encoding": "chunked"}
    status, taken, answer = call(app, [CHUNK] * 1000, headers)
    assert status == 413
    assert taken == 6
    assert answer[b"connection"] == b"close"
    assert app.state.gate.held == 0


def test_a_length_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    app = create_app(settings_of(tmp_path, max_request_bytes=20_000))
    status, taken, _ = call(app, [CHUNK] * 1000, {**PNG, "Content-Length": "1000000"})
    assert (status, taken) == (413, 0)
    status, taken, _ = call(app, [CHUNK] * 1000, {**PNG, "Content-Length": "9" * 5000})
    assert (status, taken) == (413, 0)


def test_a_length_that_lies_does_not_help(tmp_path: Path) -> None:
    app = create_app(settings_of(tmp_path, max_picture_bytes=5_000, max_request_bytes=20_000))
    for said in ("10", "-5", "many", "1_0"):
        status, taken, _ = call(app, [CHUNK] * 1000, {**PNG, "Content-Length": said})
        assert (status, taken) == (413, 6)


def test_a_body_of_no_length_is_refused(tmp_path: Path) -> None:
    app = create_app(settings_of(tmp_path))
    assert call(app, [b""], PNG)[0] == 411


def test_a_form_is_refused_while_it_arrives(tmp_path: Path) -> None:
    app = create_app(settings_of(tmp_path, max_picture_bytes=5_000, max_request_bytes=20_000))
    given = form((named("a.png"), CHUNK * 1000))
    chunks = [given["content"][start : start + 1000] for start in range(0, len(given["content"]), 1000)]
    status, taken, _ = call(app, chunks, {**given["headers"], "Transfer-Encoding": "chunked"})
    assert (status, taken) == (413, 21)


def test_a_long_picture_among_others_is_an_error_of_its_own(tmp_path: Path) -> None:
    with serving(tmp_path, max_picture_bytes=len(picture()) + 10) as client:
        long = picture() + bytes(11)
        parts = [("files", ("a.png", long)), ("files", ("b.png", picture()))]
        answer = client.post("/v1/scan", files=parts)
        alone = client.post("/v1/scan", files=parts[:1])
        raw = client.post("/v1/scan", content=long)
    assert answer.status_code == 200
    assert [report["error_code"] for report in answer.json()["reports"]] == ["too_large", None]
    assert alone.status_code == 413
    assert alone.json()["reports"][0]["path"] == "a.png"
    assert code(raw) == (413, "too_large")


def test_too_many_pictures(tmp_path: Path) -> None:
    with serving(tmp_path, max_files=3) as client:
        assert client.post("/v1/scan", files=[("files", picture())] * 3).status_code == 200
        assert code(client.post("/v1/scan", files=[("files", picture())] * 4)) == (422, "too_many_files")


def test_nothing_is_written_to_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins
    import os
    import tempfile

    with serving(tmp_path) as client:
        real = builtins.open

        def reading(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
            assert not set(mode) & set("wax+"), f"{file} was opened to be written"
            return real(file, mode, *rest, **options)

        def refuse(*_: Any, **__: Any) -> None:
            raise AssertionError("a temporary file was made")

        monkeypatch.setattr(builtins, "open", reading)
        for name in ("TemporaryFile", "NamedTemporaryFile", "SpooledTemporaryFile", "mkstemp", "mkdtemp"):
            monkeypatch.setattr(tempfile, name, refuse)
        monkeypatch.setattr(os, "mkdir", refuse)
        big = picture(128, (1100, 900))
        assert len(big) > 2**20, "longer than what starlette keeps in memory"
        parts = [("files", ("a.png", big)), ("files", ("b.png", big))]
        for route in ("scan?map=true", "report"):
            assert client.post(f"/v1/{route}", files=parts).status_code == 200
        assert client.post("/v1/signature", content=big).status_code == 200


class Held:
    """Makes the model wait, so that a server is as busy as a test wants it."""

    def __init__(self, app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        detector = app.state.models.find("")[1]
        real = detector.scan_prepared

        def slow(waiting: Any) -> Any:
            assert self.go.wait(60)
            return real(waiting)

        monkeypatch.setattr(detector, "scan_prepared", slow)


async def until(condition: Any) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to this")


def test_a_full_queue_says_so_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app(settings_of(tmp_path, concurrent=2, queue=3))
    held, gate = Held(app, monkeypatch), app.state.gate

    async def crowd() -> None:
        async with calling(app) as client:
            inside = [
                asyncio.create_task(client.post("/v1/scan", content=picture(level), headers=PNG))
                for level in (230, 20, 230, 20, 230)
            ]
            await until(lambda: (gate.working, gate.waiting) == (2, 3))
            refused = await client.post("/v1/scan", content=picture(), headers=PNG)
            assert code(refused) == (429, "busy")
            assert int(refused.headers["retry-after"]) >= 1
            assert (await client.get("/v1/models")).status_code == 200
            figures = (await client.get("/metrics")).text
            assert "vestige_queue_length 3.0" in figures
            assert "vestige_requests_in_work 2.0" in figures
            held.go.set()
            answers = await asyncio.gather(*inside)
            verdicts = [answer.json()["reports"][0]["verdict"] for answer in answers]
            assert verdicts == ["likely_generated", "likely_real"] * 2 + ["likely_generated"]
            assert (await client.post("/v1/scan", content=picture(), headers=PNG)).status_code == 200
        assert (gate.admitted, gate.working, gate.held) == (0, 0, 0)

    asyncio.run(crowd())


def test_slow_bodies_keep_nobody_from_work(tmp_path: Path) -> None:
    app = create_app(settings_of(tmp_path, concurrent=1, queue=2))
    go = threading.Event()

    async def slow() -> AsyncIterator[bytes]:
        data = picture()
        yield data[:100]
        while not go.is_set():
            await asyncio.sleep(0.01)
        yield data[100:]

    async def crowd() -> None:
        async with calling(app) as client:
            sending = [
                asyncio.create_task(client.post("/v1/scan", content=slow(), headers=PNG)) for _ in range(2)
            ]
            await until(lambda: app.state.gate.admitted == 2)
            assert (await client.post("/v1/scan", content=picture(), headers=PNG)).status_code == 200
            go.set()
            assert [answer.status_code for answer in await asyncio.gather(*sending)] == [200, 200]

    asyncio.run(crowd())


def test_a_body_that_never_ends_is_given_up(tmp_path: Path) -> None:
    app = create_app(settings_of(tmp_path, body_seconds=0.2))

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"x"
            await asyncio.sleep(0.05)

    async def wait() -> None:
        async with calling(app) as client:
            assert code(await client.post("/v1/scan", content=endless(), headers=PNG)) == (408, "slow_body")
        assert app.state.gate.admitted == 0

    asyncio.run(wait())


def test_an_answer_that_takes_too_long_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_app(settings_of(tmp_path, request_seconds=0.3, concurrent=1))
    held = Held(app, monkeypatch)

    async def wait() -> None:
        async with calling(app) as client:
            answers = await asyncio.gather(
                *(client.post("/v1/scan", content=picture(), headers=PNG) for _ in range(3))
            )
            assert [code(answer) for answer in answers] == [(503, "timeout")] * 3
            assert all("retry-after" in answer.headers for answer in answers)
            held.go.set()
        assert (app.state.gate.admitted, app.state.gate.working) == (0, 0)

    asyncio.run(wait())


def test_all_uploads_together_are_bounded() -> None:
    async def fill() -> None:
        gate = Gate(1, 5, 100)
        async with gate.admit() as first, gate.admit() as second:
            first.hold(60)
            second.hold(40)
            with pytest.raises(RefusalError) as caught:
                first.hold(1)
            assert caught.value.status == 429
        assert gate.held == 0

    asyncio.run(fill())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"max_files": 0, "queue": -1},
            "max_files must be at least 1, got 0; queue must not be negative, got -1",
        ),
        ({"body_seconds": 0.0}, "body_seconds must be more than 0"),
        ({"request_seconds": float("nan")}, "request_seconds must be more than 0"),
        ({"max_held_bytes": 10}, "must hold at least one request"),
        ({"token": "short"}, "token must be 8 or more"),
        ({"token": "with a space"}, "without spaces"),
        ({"models": ()}, "at least one"),
    ],
)
def test_settings_that_make_no_sense(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        ServerSettings(**changes)


def test_token_files(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("correct-horse\n")
    assert read_token(tmp_path / "token") == "correct-horse"
    (tmp_path / "empty").write_text(" \n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x80")
    for name, words in (("empty", "is empty"), ("binary", "it is not text"), ("none", "No such file")):
        with pytest.raises(ConfigError, match=words):
            read_token(tmp_path / name)
    assert "correct-horse" not in repr(ServerSettings(token="correct-horse"))


def chunked(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), 7):
        yield data[start : start + 7]


def test_bodies_may_come_in_chunks(tmp_path: Path) -> None:
    given = form((named("a.png"), picture()), (named("b.png"), picture(20)))
    with serving(tmp_path) as client:
        raw = client.post("/v1/scan", content=chunked(picture()), headers=PNG)
        parts = client.post("/v1/scan", content=chunked(given["content"]), headers=given["headers"])
    assert raw.json()["reports"][0]["verdict"] == "likely_generated"
    assert [report["verdict"] for report in parts.json()["reports"]] == ["likely_generated", "likely_real"]
