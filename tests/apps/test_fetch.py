"""`vestige fetch` and `scan --fetch`: consent, downloads from a hub on this computer, local files."""

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from rich.console import Console
from tower_hub import FILE, Hub, running

from conftest import grey_picture
from tower_samples import write_package, write_tower
from vestige.apps import fetch
from vestige.errors import ConfigError, ModelPackageError
from vestige.inference import tower_fetch
from vestige.inference.package import load_package, read_card
from vestige.inference.tower import megabytes

COMMAND = [sys.executable, "-c", "from vestige.apps.cli import main; main()"]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of kept towers, empty; no hub can be reached until `hub` is asked for."""
    monkeypatch.setenv("VESTIGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VESTIGE_TOWERS", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    return tmp_path / "cache" / "towers"


@pytest.fixture
def tower(tmp_path: Path) -> Path:
    return write_tower(tmp_path / "mine" / "weights.safetensors")


@pytest.fixture
def head(tmp_path: Path, tower: Path) -> Path:
    return write_package(tmp_path / "head", tower)


@pytest.fixture
def hub(tower: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with running(tower.read_bytes()) as found:
        monkeypatch.setenv("HF_ENDPOINT", found.address)
        yield found


def vestige(*arguments: object, stdin: str = "", **variables: str) -> tuple[int, str]:
    """Exit code and what was said on stderr, in a process of its own."""
    around = os.environ | {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"} | variables
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, env=around, input=stdin, text=True, timeout=120
    )
    return done.returncode, done.stderr


def refusal(head: Path, source: Path | None = None) -> str:
    with pytest.raises(ModelPackageError) as caught:
        fetch.run(str(head), source, yes=True)
    return str(caught.value)


def answer(monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    """What a user types on a terminal; None: there is no terminal."""
    stdin = io.StringIO(text or "")
    monkeypatch.setattr(stdin, "isatty", lambda: text is not None)
    monkeypatch.setattr(sys, "stdin", stdin)


def kept(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir()) if cache.exists() else []


def test_a_tower_is_downloaded_checked_and_found(
    head: Path, hub: Hub, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fetch.run(str(head), None, yes=True)
    package = load_package(head)
    assert package.tower is not None
    assert package.tower.path.read_bytes() == hub.content
    assert kept(cache) == [package.tower.path.name], "nothing else is left behind"
    said = capsys.readouterr().err
    card = read_card(head).tower
    assert card is not None
    for part in (
        f"head 1.0 needs model.safetensors of someone/tower, {megabytes(card)}",
        f"from {hub.address}{FILE}",
        f"to   {package.tower.path}",
    ):
        assert part in said
    hub.asked.clear()
    fetch.run(str(head), None, yes=False)
    assert capsys.readouterr().err == f"already there: {package.tower.path}\n"
    assert hub.asked == []


def test_scan_downloads_only_when_told_to(head: Path, hub: Hub, cache: Path, tmp_path: Path) -> None:
    scan = ("scan", grey_picture(tmp_path / "a.png", 90), "--model", head, "--json")
    code, said = vestige(*scan)
    assert code == 2
    assert said.startswith("vestige: head 1.0: its tower (model.safetensors of someone/tower, ")
    assert "is not on this computer, and nothing was downloaded" in said
    assert (len(said.splitlines()), hub.asked, kept(cache)) == (1, [], [])
    code, said = vestige(*scan, "--fetch")
    assert code == 0, said
    assert "fetching model.safetensors of someone/tower" in said
    assert len(hub.downloads) == 1
    hub.asked.clear()
    fetch.for_scan(str(head), Console())
    assert hub.asked == []


def test_the_command_asks_nobody_without_a_terminal(head: Path, hub: Hub, cache: Path) -> None:
    code, said = vestige("fetch", head, stdin="y\n")
    assert code == 2
    assert (
        said.splitlines()[-1] == "vestige: nothing was downloaded: nobody can be asked here, agree with --yes"
    )
    assert (hub.asked, kept(cache)) == ([], [])


def test_another_file_at_the_hub_is_not_kept(head: Path, hub: Hub, cache: Path) -> None:
    hub.content = hub.content[:-1] + b"\1"
    sentence = refusal(head)
    assert "another file than the one that the package was made with" in sentence
    assert "nothing was kept" in sentence
    assert (len(hub.downloads), kept(cache)) == (1, [])


def test_a_file_of_another_size_is_not_downloaded(head: Path, hub: Hub, cache: Path) -> None:
    hub.content += b"\0"
    assert "nothing was downloaded" in refusal(head)
    assert (hub.downloads, kept(cache)) == ([], [])


def test_a_download_that_fails_leaves_nothing(head: Path, hub: Hub, cache: Path) -> None:
    hub.broken = True
    assert "cannot be had" in refusal(head)
    assert len(hub.downloads) == 1
    assert kept(cache) == []


def test_without_a_connection_there_is_a_way(head: Path, cache: Path) -> None:
    sentence = refusal(head)
    for part in ("no connection to the hub", "http://127.0.0.1:9" + FILE, "--from FILE"):
        assert part in sentence
    assert kept(cache) == []


def test_offline_mode_is_named(head: Path, hub: Hub) -> None:
    code, said = vestige("fetch", head, "--yes", HF_HUB_OFFLINE="1")
    assert (code, "HF_HUB_OFFLINE" in said) == (2, True)
    assert hub.asked == []


@pytest.mark.parametrize(
    ("name", "words"), [("someone/nothing", "no such repository"), ("someone/tower", "no such file")]
)
def test_what_the_hub_does_not_have(tmp_path: Path, hub: Hub, tower: Path, name: str, words: str) -> None:
    about = {"hub": name, "file": "gone.safetensors", "sha256": "0" * 64, "bytes": 9}
    assert words in refusal(write_package(tmp_path / "x", tower, tower=about))


def test_nobody_is_asked_where_nobody_is(head: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, None)
    with pytest.raises(ConfigError, match="--yes"):
        fetch.run(str(head), None, yes=False)


@pytest.mark.parametrize("text", ["n\n", "\n", "", "no\n", "yess\n"])
def test_without_a_yes_nothing_is_downloaded(
    head: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    answer(monkeypatch, text)
    monkeypatch.setattr(fetch, "fetch", lambda _: pytest.fail("downloaded"))
    with pytest.raises(ConfigError, match=r"^nothing was downloaded$"):
        fetch.run(str(head), None, yes=False)
    assert " MB? [y/N]" in capsys.readouterr().err


def test_a_yes_on_a_terminal_is_enough(head: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "y\n")
    fetch.run(str(head), None, yes=False)
    assert load_package(head).tower is not None


def test_a_local_file_is_copied(head: Path, tower: Path, cache: Path) -> None:
    fetch.run(str(head), tower, yes=False)
    assert tower.exists()
    assert len(kept(cache)) == 1
    assert load_package(head).tower is not None


def test_another_local_file_is_refused_even_if_the_tower_is_there(
    head: Path, tower: Path, tmp_path: Path, cache: Path
) -> None:
    other = write_tower(tmp_path / "other.safetensors", seed=1)
    assert "other.safetensors: not the tower" in refusal(head, other)
    assert kept(cache) == []
    fetch.run(str(head), tower, yes=False)
    assert "other.safetensors: not the tower" in refusal(head, other)


@pytest.mark.parametrize("source", ["hub", "file"])
def test_a_damaged_kept_file_is_replaced(head: Path, tower: Path, hub: Hub, cache: Path, source: str) -> None:
    fetch.run(str(head), tower, yes=False)
    (place,) = cache.iterdir()
    place.write_bytes(b"damaged")
    fetch.run(str(head), tower if source == "file" else None, yes=True)
    assert place.read_bytes() == tower.read_bytes()
    assert len(hub.downloads) == (source == "hub")


def test_a_cache_folder_that_cannot_be_written_to_is_one_sentence(
    head: Path, tower: Path, cache: Path
) -> None:
    cache.parent.write_text("a file where the folder should be")
    assert "VESTIGE_CACHE can name another" in refusal(head, tower)


def test_without_huggingface_hub_there_is_a_way(head: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tower_fetch, "find_spec", lambda _: None)
    sentence = refusal(head)
    for part in ("pip install 'vestige[hub]'", FILE, "--from FILE"):
        assert part in sentence


def test_a_whole_package_needs_nothing(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fetch.run(str(package), None, yes=False)
    assert "brightness 1.0: nothing to fetch" in capsys.readouterr().err
    assert "neither a shipped model" in refusal(Path("no-such-model"))
