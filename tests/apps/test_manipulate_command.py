"""`vestige data manipulate` as a user meets it."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vestige.apps.data import data_app
from vestige.apps.manipulate_page import words
from vestige.data.manifest import read_manifest, write_manifest
from vestige.errors import ConfigError, DataError

pytest.importorskip("cv2")


def run(*arguments: object):  # type: ignore[no-untyped-def]
    return CliRunner().invoke(data_app, ["manipulate", *(str(one) for one in arguments)])


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Two real and two generated pictures of split dev, one more of each in train."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(6):
        name = f"<{number}>.png"
        coarse = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
        Image.fromarray(coarse).resize((64, 48), Image.Resampling.BICUBIC).save(tmp_path / name)
        split = "dev" if number < 4 else "train"
        rows.append({"path": name, "label": number % 2, "group": f"g{number % 2}", "split": split})
    write_manifest(tmp_path / "set.csv", rows)
    return tmp_path / "set.csv"


@pytest.fixture
def options(tmp_path: Path) -> Path:
    path = tmp_path / "options.yaml"
    path.write_text("kinds:\n- kind: splicing\n- {kind: perturbation, whole: 0}\n")
    return path


def test_a_set_with_its_page(manifest: Path, options: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(f"{manifest}:dev", "--out", out, "--options", options, "--originals")
    assert done.exit_code == 0, done.exception
    lines = {line.split("  ")[0]: line.split()[-5:] for line in done.stdout.splitlines() if "  " in line}
    # Of real hosts, of generated hosts; generated hosts may be covered by real content only in part.
    assert lines["perturbation"] == ["4", "2", "2", "2", "2"]
    assert lines["splicing"] == ["4", "2", "2", *lines["splicing"][3:]]
    assert done.stdout.splitlines()[-2:] == [str(out / "manifest.csv"), str(out / "index.html")]

    rows = read_manifest(out / "manifest.csv", "dev")
    assert [row.manipulation for row in rows] == [""] * 4 + ["splicing"] * 4 + ["perturbation"] * 4
    for row in rows[4:]:
        assert row.mask is not None
        assert row.changed is not None
        sizes = set()
        for path in (row.path, row.mask, row.changed):
            with Image.open(path) as picture:
                sizes.add(picture.size)
        assert sizes == {(64, 48)}

    page = (out / "index.html").read_text(encoding="utf-8")
    links = re.findall(r'href="([^"]+\.png)"', page)
    assert len(links) == 8 * 3
    assert all((out / link).is_file() for link in links)
    assert page.count('src="data:image/jpeg;base64,') == 8 * 4
    assert "http" not in page.replace("http-equiv", "")
    assert "&lt;0&gt;.png" in page
    assert "<0>.png" not in page
    _Balanced().feed(page)


class _Balanced(HTMLParser):
    """Fails where a tag closes another than the one that is open."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in {"meta", "link", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_it_goes_on_and_gives_the_same(manifest: Path, options: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = (f"{manifest}:dev", "--out", out, "--options", options)
    assert run(*arguments, "--per-group", 1).exit_code == 0
    first = {path: path.stat().st_mtime_ns for path in out.glob("*/*.png")}
    assert len(first) == 4 * 4
    assert run(*arguments).exit_code == 0
    assert first.items() <= {path: path.stat().st_mtime_ns for path in out.glob("*/*.png")}.items()
    before = {path: path.read_bytes() for path in out.rglob("*.*")}
    assert run(*arguments).exit_code == 0
    assert {path: path.read_bytes() for path in out.rglob("*.*")} == before
    assert len(read_manifest(out / "manifest.csv")) == 8


def test_without_options_all_kinds_that_need_no_weights(manifest: Path, tmp_path: Path) -> None:
    done = run(f"{manifest}:train", "--out", tmp_path / "out", "--seed", 3)
    assert done.exit_code == 0, done.exception
    kinds = {row.manipulation for row in read_manifest(tmp_path / "out" / "manifest.csv")}
    assert kinds == {"inpainting-classical", "inpainting-patch", "copy-move", "splicing", "perturbation"}
    settings = json.loads((tmp_path / "out" / "settings.json").read_text())
    assert (settings["seed"], settings["split"], settings["manifest"]) == (3, "train", "set.csv")


def test_other_sets_in_the_folder_are_refused(manifest: Path, options: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(f"{manifest}:dev", "--out", out, "--options", options).exit_code == 0
    for arguments, what in (
        ((f"{manifest}:dev", "--seed", 1), "seed"),
        ((f"{manifest}:train",), "split"),
        ((manifest,), "split"),
    ):
        caught = run(*arguments, "--out", out, "--options", options).exception
        assert isinstance(caught, ConfigError)
        assert f"begun with another {what}; choose another folder" in str(caught)
    before = (out / "settings.json").read_text()
    options.write_text("kinds: [{kind: perturbation, whole: 1}]")
    assert isinstance(run(f"{manifest}:dev", "--out", out, "--options", options).exception, DataError)
    assert (out / "settings.json").read_text() == before
    full = tmp_path / "full"
    full.mkdir()
    (full / "manifest.csv").write_text("mine")
    caught = run(manifest, "--out", full).exception
    assert "not empty and without settings.json" in str(caught)
    assert (full / "manifest.csv").read_text() == "mine"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("kinds: [", "cannot be read as YAML"),
        ("[]", "a mapping is wanted"),
        ("per_group: 2", "kinds: Field required"),
        ("kinds: [{kind: magic}]", r"options\.yaml: kinds\.0: .*'magic'"),
        ("kinds: [{kind: splicing, wrong: 1}]", r"kinds\.0\.splicing\.wrong: Extra inputs"),
        ("kinds: [{kind: splicing}]\nmore: 1", "more: Extra inputs"),
        ("kinds: [{kind: inpainting-learned}]", "needs learned networks, and none is given"),
        ("kinds: []", r"options\.yaml: kinds: .*at least 1"),
        ("kinds: [{kind: mixing}]\ninpainters: [{kind: magic}]", r"options\.yaml: inpainters\.0: .*'magic'"),
        ("kinds: [{kind: mixing}]\ninpainters: [2020-01-01]", r"options\.yaml: inpainters\.0: "),
        ("kinds: [{kind: mixing}]\ninpainters: 0", "inpainters: a list is wanted"),
        (
            "kinds: [{kind: perturbation}]\ninpainters: [2020-01-01]",
            r"options\.yaml: inpainters: none of the kinds uses learned networks; leave out inpainters",
        ),
        ("kinds: [{kind: mixing}]\ninpainters: {kind: magic}", "inpainters: a list is wanted"),
        ("kinds: [{kind: mixing}]\ninpainters: [{kind: tiny-autoencoder}]", "starting weights"),
    ],
)
def test_options_that_make_no_sense(manifest: Path, tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "options.yaml").write_text(text)
    done = run(manifest, "--out", tmp_path / "out", "--options", tmp_path / "options.yaml")
    assert isinstance(done.exception, ConfigError)
    assert re.search(sentence, str(done.exception))
    assert not list((tmp_path / "out").glob("*/*.png"))


def test_inpainters_are_kept_as_they_were_understood(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """YAML's bytes are a name for the schema, and nothing that JSON knows."""
    monkeypatch.setattr(
        "vestige.methods.inpainters.build_inpainters",
        lambda options, weights: {options[0].name: lambda pixels, mask: pixels},
    )
    text = (
        "per_group: 1\nkinds: [{kind: mixing}]\ninpainters: [{kind: tiny-autoencoder, name: !!binary bmV0}]"
    )
    (tmp_path / "options.yaml").write_text(text)
    done = run(manifest, "--out", tmp_path / "out", "--options", tmp_path / "options.yaml")
    assert done.exit_code == 0, done.exception
    (kept,) = json.loads((tmp_path / "out" / "settings.json").read_text())["inpainters"]
    assert (kept["kind"], kept["name"]) == ("tiny-autoencoder", "net")


def test_other_refusals(manifest: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert "goes with --options" in str(run(manifest, "--out", out, "--weights", tmp_path).exception)
    (tmp_path / "plain.yaml").write_text("kinds: [{kind: perturbation}]")
    unused = run(manifest, "--out", out, "--options", tmp_path / "plain.yaml", "--weights", tmp_path)
    assert "plain.yaml uses any; leave the option out" in str(unused.exception)
    assert not out.exists()
    assert "MANIFEST:SPLIT is wanted" in str(run(":dev", "--out", out).exception)
    assert isinstance(run(f"{manifest}:none", "--out", out).exception, DataError)
    assert isinstance(run(tmp_path / "nothing.csv", "--out", out).exception, DataError)


def test_what_was_drawn_in_words() -> None:
    how = {
        "area": 0.12345,
        "corner": [3, -4],
        "flip": True,
        "step_list": [],
        "blur": {"sigma": 2.0, "by": None},
    }
    assert words(how) == "area 0.123, corner 3 / -4, flip yes, step list none, blur (sigma 2, by none)"
