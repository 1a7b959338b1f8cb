"""Towers that are at no Hugging Face hub: what cards may say of them, and what users are told to do."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from conftest import grey_picture
from tower_samples import write_package, write_tower
from vestige.apps import fetch
from vestige.apps.cli import app
from vestige.errors import ModelPackageError
from vestige.inference import tower as towers
from vestige.inference import tower_fetch
from vestige.inference.card import Tower
from vestige.inference.package import load_package, read_card

ORIGIN = "The tower of someone/tower, converted to float16 by its user."
SHA256 = "0" * 64


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of kept towers, empty; whoever asks a hub fails."""
    monkeypatch.setenv("VESTIGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VESTIGE_TOWERS", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(fetch, "fetch", lambda _: pytest.fail("a download was tried"))
    return tmp_path / "cache" / "towers"


@pytest.fixture
def tower(tmp_path: Path) -> Path:
    return write_tower(tmp_path / "mine" / "weights.safetensors")


@pytest.fixture
def head(tmp_path: Path, tower: Path) -> Path:
    """A package whose card says that its tower is at no hub."""
    folder = write_package(tmp_path / "a head", tower)
    card = json.loads((folder / "card.json").read_text())
    described = {name: card["tower"][name] for name in ("sha256", "bytes")}
    card["tower"] = {"hub": None, "origin": ORIGIN, **described}
    (folder / "card.json").write_text(json.dumps(card))
    return folder


def tower_of(head: Path) -> Tower:
    found = read_card(head).tower
    assert found is not None
    return found


def refused_fetch(head: Path) -> str:
    with pytest.raises(ModelPackageError) as caught:
        fetch.run(str(head), None, yes=True)
    return str(caught.value)


def test_a_card_without_a_hub_keeps_its_text_and_names_no_file_there() -> None:
    text = f'{{"hub":null,"origin":"{ORIGIN}","sha256":"{SHA256}","bytes":9}}'
    assert Tower.model_validate_json(text).model_dump_json() == text


def test_the_text_of_a_card_with_a_hub_is_what_it_was() -> None:
    text = (
        f'{{"hub":"some-one/tower","revision":"v2","file":"a/b.safetensors","sha256":"{SHA256}","bytes":9}}'
    )
    assert Tower.model_validate_json(text).model_dump_json() == text
    short = {"hub": "some-one/tower", "sha256": SHA256, "bytes": 9}
    assert list(Tower.model_validate(short).model_dump()) == ["hub", "revision", "file", "sha256", "bytes"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"origin": None}, "hub is null, so origin must say what the file is and where it comes from"),
        ({"hub": "some-one/tower"}, "leave one of them out"),
        ({"revision": "v2"}, "revision and file are of the hub, and hub is null"),
        ({"file": "model.safetensors"}, "revision and file are of the hub, and hub is null"),
        ({"origin": ""}, "origin"),
        ({"origin": " . "}, "origin"),
        ({"origin": "two\nlines"}, "origin"),
        ({"origin": "a line\n"}, "origin"),
        ({"origin": "red \x1b[31m letters"}, "origin"),
    ],
)
def test_what_a_card_without_a_hub_may_not_say(changes: dict[str, Any], words: str) -> None:
    good = {"hub": None, "origin": ORIGIN, "sha256": SHA256, "bytes": 9}
    assert Tower.model_validate(good).origin == ORIGIN
    with pytest.raises(ValueError, match=words):
        Tower.model_validate(good | changes)


def test_a_package_whose_card_says_neither_is_refused(head: Path) -> None:
    card = json.loads((head / "card.json").read_text())
    del card["tower"]["origin"]
    (head / "card.json").write_text(json.dumps(card))
    with pytest.raises(
        ModelPackageError, match=r"card\.json: not a valid model card: tower: .*origin must say"
    ):
        read_card(head)


def test_it_is_described_by_its_origin_and_has_no_address() -> None:
    found = Tower(origin=ORIGIN, sha256=SHA256, bytes=172_000_000)
    said = "The tower of someone/tower, converted to float16 by its user, 172 MB"
    assert towers.describe(found) == said
    with pytest.raises(ValueError, match="no address"):
        towers.url(found)


def test_a_missing_tower_is_not_offered_for_download(head: Path) -> None:
    with pytest.raises(ModelPackageError) as caught:
        load_package(head)
    size = towers.megabytes(tower_of(head))
    assert str(caught.value) == (
        f"head 1.0: its tower ({ORIGIN[:-1]}, {size}) is not on this computer, and it is at no hub: give the "
        f"file with vestige fetch {shlex.quote(str(head))} --from FILE or put it into the folder that "
        "VESTIGE_TOWERS names"
    )


def test_fetch_says_what_to_do_instead(head: Path, cache: Path, tmp_path: Path) -> None:
    sentence = refused_fetch(head)
    for part in (
        ORIGIN[:-1],
        "at no hub, so nothing can be downloaded",
        f"vestige fetch {shlex.quote(str(head))} --from FILE",
        "VESTIGE_TOWERS",
    ):
        assert part in sentence
    with pytest.raises(ModelPackageError) as caught:
        fetch.for_scan(str(head), Console())
    assert str(caught.value) == sentence
    picture = grey_picture(tmp_path / "a.png", 90)
    for arguments in (
        ["fetch", str(head), "--yes"],
        ["scan", str(picture), "--model", str(head), "--fetch", "--json"],
    ):
        found = CliRunner().invoke(app, arguments)
        assert isinstance(found.exception, ModelPackageError)  # which `main` ends with 2
        assert str(found.exception) == sentence
    assert not cache.exists()


def test_a_download_cannot_be_asked_for_from_python(head: Path) -> None:
    with pytest.raises(ModelPackageError, match="vestige fetch MODEL --from FILE"):
        tower_fetch.fetch(tower_of(head))


def test_a_given_file_is_kept_and_found(head: Path, tower: Path, tmp_path: Path, cache: Path) -> None:
    other = write_tower(tmp_path / "other.safetensors", seed=1)
    with pytest.raises(ModelPackageError, match=r"other\.safetensors: not the tower, which is The tower of"):
        fetch.run(str(head), other, yes=False)
    fetch.run(str(head), tower, yes=False)
    assert [path.name for path in cache.iterdir()] == [f"{tower_of(head).sha256}.safetensors"]
    assert load_package(head).tower is not None
    fetch.run(str(head), None, yes=False)
    fetch.for_scan(str(head), Console())


def test_it_is_found_in_the_named_folder(head: Path, tower: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VESTIGE_TOWERS", str(tower.parent))
    package = load_package(head)
    assert package.tower is not None
    assert package.tower.path == tower


def test_a_damaged_kept_file_is_replaced_from_a_file_only(head: Path, tower: Path, cache: Path) -> None:
    place = towers.take(tower_of(head), tower)
    place.write_bytes(b"damaged")
    with pytest.raises(ModelPackageError, match="replaced by vestige fetch MODEL --from FILE"):
        load_package(head)
    assert "at no hub" in refused_fetch(head)
    fetch.run(str(head), tower, yes=False)
    assert place.read_bytes() == tower.read_bytes()


def test_a_file_that_changes_while_it_is_copied_is_not_kept(head: Path, tower: Path, cache: Path) -> None:
    def get(folder: Path) -> Path:
        return write_tower(folder / "copy", seed=1)

    with pytest.raises(ModelPackageError, match=r"The tower of .* MB: another file .* nothing was kept"):
        towers.keep(tower_of(head), get)
    assert list(cache.iterdir()) == []
