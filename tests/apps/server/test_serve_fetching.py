"""Fetching by URL: which addresses are asked, and what comes of answers that go wrong."""

import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from serve_samples import picture, serving

from vestige.apps.server import fetching, scan_routes
from vestige.apps.server.addresses import AllowList, is_public
from vestige.apps.server.fetching import Fetcher
from vestige.apps.server.refusals import RefusalError
from vestige.errors import ConfigError

PUBLIC = "93.184.216.34"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        (PUBLIC, True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("239.1.1.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("192.0.2.1", False),
        ("198.18.0.1", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("fec0::1", False),
        ("ff02::1", False),
        ("::ffff:127.0.0.1", False),
        (f"::ffff:{PUBLIC}", False),
        (f"::{PUBLIC}", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("2001:0:7f00:1::", False),
        ("2001:db8::1", False),
        ("not an address", False),
    ],
)
def test_only_addresses_of_the_internet(address: str, public: bool) -> None:
    assert is_public(address) is public


@pytest.mark.parametrize(
    "url",
    [
        "ftp://good.example/a.png",
        "file:///etc/passwd",
        "//good.example/a.png",
        "good.example/a.png",
        "http://user@good.example/",
        "http://user:word@good.example/",
        "http://good.example@evil.example/",
        "http://evil.example/",
        "http://good.example.evil.example/",
        "http://sub.good.example/",
        "http://good.example:8080/",
        "http://good.example:99999/",
        "http://[::1]/",
        "http://127.0.0.1/",
        "http://2130706433/",
        "http:///a.png",
        "http://good.example\\@evil.example/",
        "http://good.example/a b",
        "http://good.example/\r\nHost: evil",
        "http://good.example/ü",
        "http://good.example/" + "a" * 3000,
        "",
    ],
)
def test_urls_that_are_not_asked(url: str) -> None:
    with pytest.raises(RefusalError) as caught:
        AllowList(["good.example"]).place(url)
    assert (caught.value.status, caught.value.code) == (422, "url_refused")


def test_urls_that_are_asked() -> None:
    allowed = AllowList(["Good.Example", "other.example:8443", "bücher.example"])
    place = allowed.place("https://GOOD.example/a/b.png?c=d#e")
    assert (place.host, place.port, place.target, place.host_header) == (
        "good.example", 443, "/a/b.png?c=d", "good.example",
    )  # fmt: skip
    assert allowed.place("https://other.example:8443").host_header == "other.example:8443"
    assert allowed.place("http://bücher.example/").host == "xn--bcher-kva.example"
    with pytest.raises(RefusalError):
        allowed.place("https://other.example/")


@pytest.mark.parametrize(
    "entry", ["", "http://good.example", "good.example/a", "*.example", "a@b", "good.example:x"]
)
def test_entries_that_are_no_hosts(entry: str) -> None:
    with pytest.raises(ConfigError, match="not a host"):
        AllowList([entry])


class Web:
    """Hosts that resolve as told, and answers given at the other end of a pair of sockets."""

    def __init__(
        self, hosts: dict[str, list[str]], answers: Sequence[bytes | Callable[[socket.socket], None]]
    ):
        self.hosts = hosts
        self.answers = list(answers)
        self.asked: list[bytes] = []
        self.connected: list[tuple[str, int]] = []

    def resolve(self, host: str, port: int) -> list[str]:
        if host not in self.hosts:
            raise socket.gaierror("unknown")
        # A second question may be answered otherwise: DNS rebinding.
        found, self.hosts[host] = self.hosts[host], ["127.0.0.1"]
        return found

    def connect(self, address: str, port: int, seconds: float) -> socket.socket:
        self.connected.append((address, port))
        ours, theirs = socket.socketpair()
        ours.settimeout(seconds)
        threading.Thread(target=self._answer, args=(theirs, self.answers.pop(0)), daemon=True).start()
        return ours

    def _answer(self, line: socket.socket, answer: bytes | Callable[[socket.socket], None]) -> None:
        with line:
            request = b""
            while b"\r\n\r\n" not in request:
                request += line.recv(4096)
            self.asked.append(request)
            try:
                if callable(answer):
                    answer(line)
                else:
                    line.sendall(answer)
            except OSError:
                pass

    def fetcher(self, *hosts: str, most: int = 100_000, seconds: float = 30.0) -> Fetcher:
        allowed = AllowList(hosts or ["good.example"])
        return Fetcher(allowed, most, seconds, self.resolve, self.connect)


def answer_of(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    given = {
        "Content-Length": str(len(body)),
        **{key.replace("_", "-"): text for key, text in headers.items()},
    }
    head = "".join(f"{name}: {text}\r\n" for name, text in given.items() if text)
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def moved(url: str) -> bytes:
    return answer_of(b"", "302 Found", Location=url)


def refused(fetcher: Fetcher, url: str) -> tuple[str, str]:
    with pytest.raises(RefusalError) as caught:
        fetcher.fetch(url)
    return caught.value.code, caught.value.reason


def test_a_picture_is_fetched_from_the_address_that_was_checked() -> None:
    web = Web({"good.example": [PUBLIC]}, [answer_of(b"picture")])
    upload = web.fetcher().fetch("http://good.example/a/../b%20c.png?d=e")
    assert (upload.data, upload.label) == (b"picture", "b c.png")
    assert web.connected == [(PUBLIC, 80)]
    lines = web.asked[0].decode().split("\r\n")
    assert lines[0] == "GET /a/../b%20c.png?d=e HTTP/1.1"
    assert "Host: good.example" in lines
    assert not [line for line in lines if line.lower().startswith(("cookie", "authorization", "referer"))]


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    web = Web({"good.example": [PUBLIC]}, [answer_of(b"picture")])
    assert web.fetcher().fetch("http://good.example/").data == b"picture"
    assert web.connected == [(PUBLIC, 80)]


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["10.0.0.1"], [PUBLIC, "::1"], ["::ffff:10.0.0.1"]])
def test_hosts_at_private_addresses_are_not_asked(addresses: list[str]) -> None:
    web = Web({"good.example": addresses}, [])
    code, reason = refused(web.fetcher(), "http://good.example/")
    assert code == "url_refused"
    assert not any(address in reason for address in addresses)
    assert not web.connected


def test_redirects_are_followed_and_checked() -> None:
    web = Web(
        {"a.example": [PUBLIC], "b.example": ["93.184.216.35"]},
        [moved("http://b.example/x.png"), answer_of(b"p")],
    )
    assert web.fetcher("a.example", "b.example").fetch("http://a.example/").data == b"p"
    assert web.connected == [(PUBLIC, 80), ("93.184.216.35", 80)]
    for target in ("http://evil.example/", "http://127.0.0.1/", "file:///etc/passwd", "//evil.example/a"):
        web = Web({"good.example": [PUBLIC], "evil.example": [PUBLIC]}, [moved(target)])
        assert refused(web.fetcher(), "http://good.example/")[0] == "url_refused"
        assert len(web.connected) == 1


def test_a_host_that_moves_home_after_a_redirect_is_caught() -> None:
    web = Web({"good.example": [PUBLIC]}, [moved("/again"), answer_of(b"secret")])
    assert refused(web.fetcher(), "http://good.example/")[0] == "url_refused"
    assert web.connected == [(PUBLIC, 80)]


def test_redirects_end() -> None:
    names = [f"{letter}.example" for letter in "abcdef"]
    answers = [moved(f"http://{name}/") for name in names[1:]]
    web = Web({name: [PUBLIC] for name in names}, answers)
    assert "more than 3 times" in refused(web.fetcher(*names), "http://a.example/")[1]
    assert len(web.connected) == 4


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (answer_of(b"x" * 2000), "too_large", "longer than the limit of 1000 bytes"),
        (answer_of(b"x" * 2000, Content_Length=""), "too_large", "longer than the limit of 1000 bytes"),
        (answer_of(b"", Content_Length=str(10**12)), "too_large", "longer than the limit"),
        (answer_of(b"x" * 10, Content_Length="20"), "fetch_failed", "could not be fetched|ended early"),
        (answer_of(b"x", Content_Encoding="gzip"), "fetch_failed", "compressed"),
        (answer_of(b"x", "404 Not Found"), "fetch_failed", "status 404"),
        (answer_of(b"x", "500 Oops"), "fetch_failed", "status 500"),
        (answer_of(b"", "302 Found"), "fetch_failed", "to nowhere"),
        (b"SSH-2.0-OpenSSH\r\n", "fetch_failed", "could not be fetched"),
        (b"", "fetch_failed", "could not be fetched"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 5000, "fetch_failed", "could not be fetched"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 200_000, "fetch_failed", "could not be fetched"),
    ],
)  # fmt: skip
def test_answers_that_go_wrong(answer: bytes, code: str, words: str) -> None:
    web = Web({"good.example": [PUBLIC]}, [answer])
    found, reason = refused(web.fetcher(most=1000), "http://good.example/")
    assert found == code
    assert any(part in reason for part in words.split("|"))


@pytest.mark.parametrize("length", [b"Content-Length: 100000\r\n", b""])
def test_a_drip_of_bytes_is_given_up(length: bytes) -> None:
    done = threading.Event()

    def drip(line: socket.socket) -> None:
        line.sendall(b"HTTP/1.1 200 OK\r\n" + length + b"\r\n")
        while not done.wait(0.02):
            line.sendall(b"x")

    web = Web({"good.example": [PUBLIC]}, [drip])
    code, reason = refused(web.fetcher(seconds=0.3), "http://good.example/")
    done.set()
    assert code == "fetch_failed"
    assert "longer than 0.3 seconds" in reason


def test_unknown_hosts() -> None:
    assert refused(Web({}, []).fetcher(), "http://good.example/") == (
        "fetch_failed",
        "The host of this URL was not found.",
    )


def test_the_route_fetches_what_is_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    web = Web({"good.example": [PUBLIC]}, [answer_of(picture(230))])

    def make(allowed: AllowList, most: int, seconds: float) -> Fetcher:
        return Fetcher(allowed, most, seconds, web.resolve, web.connect)

    monkeypatch.setattr(scan_routes, "Fetcher", make)
    with serving(tmp_path, allow_urls=("good.example",)) as client:
        answer = client.post("/v1/scan", params={"url": "http://good.example/photo.png"})
        assert answer.status_code == 200
        (report,) = answer.json()["reports"]
        assert (report["path"], report["verdict"]) == ("photo.png", "likely_generated")
        for url in ("http://evil.example/", "http://127.0.0.1/"):
            answer = client.post("/v1/scan", params={"url": url})
            assert (answer.status_code, answer.json()["error"]["code"]) == (422, "url_refused")
        both = client.post("/v1/scan", params={"url": "http://good.example/"}, content=picture())
        assert both.json()["error"]["code"] == "bad_query"
        assert client.post("/v1/scan", content=picture()).status_code == 200
        assert client.get("/v1/models").json()["urls"] is True
        assert "url" in str(client.get("/openapi.json").json()["paths"]["/v1/scan"]["post"]["parameters"])


def test_by_default_nothing_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "connect", lambda *_: pytest.fail("the network was asked"))
    with serving(tmp_path) as client:
        answer = client.post("/v1/scan", params={"url": "http://good.example/"})
        assert answer.status_code == 422
        assert answer.json()["error"]["reason"] == "url: this server fetches no pictures."
        assert client.get("/v1/models").json()["urls"] is False
