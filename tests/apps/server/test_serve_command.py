"""`vestige serve` on the command line: what it needs, says and refuses."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from serve_samples import settings_of, tower_package

from vestige.apps import serve_cli
from vestige.apps.server import running
from vestige.errors import ConfigError

COMMAND = [sys.executable, "-c", "from vestige.apps.cli import main; main()", "serve"]


def vestige(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=120)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Servers that would have been run."""
    found: list[tuple[Any, ...]] = []
    monkeypatch.setattr(running, "run", lambda *given: found.append(given))
    monkeypatch.delenv("VESTIGE_TOKEN", raising=False)
    return found


def serve(folder: Path, *models: str, **options: Any) -> None:
    import inspect

    given = settings_of(folder)
    defaults = {name: item.default for name, item in inspect.signature(serve_cli.serve).parameters.items()}
    model = [given.models[0], *models]
    serve_cli.serve(**{**defaults, "model": model, "extractor": str(given.extractor), **options})


def test_options_become_settings(
    tmp_path: Path, ran: list[Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("correct-horse\n")
    monkeypatch.setenv("VESTIGE_TOKEN", "another-horse")
    serve(tmp_path, max_megabytes=2, max_megapixels=3, queue=4, token_file=tmp_path / "token", host="0.0.0.0")
    (_, settings, host, port) = ran[0]
    assert (settings.max_picture_bytes, settings.max_pixels, settings.queue) == (2 * 2**20, 3_000_000, 4)
    assert (settings.token, host, port) == ("correct-horse", "0.0.0.0", 8000)
    serve(tmp_path)
    assert ran[1][1].token == "another-horse"
    with pytest.raises(ConfigError, match=r"none\.pem"):
        serve(tmp_path, trust_anchors=tmp_path / "none.pem")
    assert capsys.readouterr().err == ""


def test_an_open_server_is_warned_of(
    tmp_path: Path, ran: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    serve(tmp_path, host="0.0.0.0")
    assert "Anybody who reaches 0.0.0.0 may send pictures" in capsys.readouterr().err
    serve(tmp_path, host="127.0.0.1")
    assert capsys.readouterr().err == ""
    assert len(ran) == 2


def test_a_model_without_its_tower_is_warned_of(
    tmp_path: Path, ran: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    serve(tmp_path, str(tower_package(tmp_path / "towered")))
    assert "warning: The model towered 1.0 lacks its tower on this server" in capsys.readouterr().err
    assert ran


def test_what_is_missing_is_named(tmp_path: Path, ran: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_cli, "find_spec", lambda name: None if name == "fastapi" else name)
    with pytest.raises(ConfigError, match=r"vestige serve needs fastapi: pip install 'vestige\[serve\]'"):
        serve(tmp_path)
    assert not ran


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ConfigError, match=rf"cannot listen on 127\.0\.0\.1:{port} \(Address already in use\)"
        ):
            running.listen("127.0.0.1", port)
    with pytest.raises(ConfigError, match=r"cannot listen on no-such-host\.invalid:1"):
        running.listen("no-such-host.invalid", 1)


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    done = vestige("--model", "nowhere")
    assert done.returncode == 2
    assert done.stderr.startswith("vestige: nowhere: neither a shipped model")
    assert len(done.stderr.splitlines()) == 1
    done = vestige("--allow-url", "http://a.example/")
    assert done.stderr == "vestige: --allow-url http://a.example/: not a host; give HOST or HOST:PORT\n"


def test_the_command_line_stays_light() -> None:
    code = (
        "import sys, vestige.apps.cli; print('fastapi' in sys.modules, 'vestige.apps.server' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
