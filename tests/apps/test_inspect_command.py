"""`vestige inspect --signature`: exit code, output and files, with an extractor computed by hand."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import card_of
from extractor_samples import conv_graph, wave, write_extractor
from vestige.apps import cli
from vestige.apps import inspect as command
from vestige.apps.inspect import InspectOptions, run
from vestige.errors import ConfigError, ImageError, ModelPackageError
from vestige.images import Limits
from vestige.inference import package as packages
from vestige.reports.signature import ABOUT_PEAKS, SignatureReport, lies_at

COMMAND = [sys.executable, "-c", "from vestige.apps.cli import main; main()"]


def vestige(*arguments: object, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=120, cwd=folder
    )


@pytest.fixture
def extractor(tmp_path: Path) -> Path:
    """Says a tenth of the picture, about its middle grey."""
    kernel = 0.2 * np.eye(3, dtype=np.float32)[..., None, None]
    return write_extractor(
        tmp_path / "extractor",
        conv_graph(kernel, -0.1 * 256 / 255),
        failure_modes=["Everything <but> waves."],
    )


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A wave of 8 pixels across."""
    path = tmp_path / "wave.png"
    Image.fromarray(wave(1 / 8, 0)).save(path)
    return path


def options(extractor: Path, out: Path, **others: object) -> InspectOptions:
    return InspectOptions(model=str(extractor), out=out, **others)  # type: ignore[arg-type]


def test_a_picture_is_inspected(extractor: Path, picture: Path, tmp_path: Path) -> None:
    done = vestige("inspect", picture, "--signature", "--model", extractor, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == f"{picture}: 300 x 280 PNG"
    # The extractor says a tenth of the wave's 20 / sqrt(2) grey levels, which are rounded in the file.
    strength = float(((np.asarray(Image.open(picture), float) - 128) ** 2).mean() ** 0.5) / 10
    assert lines[1] == f"signature by plain 1.0: {strength:.2f} grey levels (root mean square)"
    assert strength == pytest.approx(1.41, abs=0.02)
    assert "x 0.125  y +0.000" in done.stdout
    assert ABOUT_PEAKS in lines
    assert "1/8 are mostly JPEG's" in ABOUT_PEAKS
    assert "no verdict" in done.stdout
    assert not any(word in done.stdout for word in ("likely", "probability", "Traceback"))
    assert sorted(path.name for path in (tmp_path / "wave-signature").iterdir()) == [
        "index.html",
        "signature.png",
        "spectrum.png",
    ]


def test_the_numbers_as_json(extractor: Path, picture: Path, tmp_path: Path) -> None:
    arguments = ("inspect", picture, "--signature", "--json", "--model", extractor, "--out", "here")
    report = SignatureReport.model_validate_json(vestige(*arguments, folder=tmp_path).stdout)
    assert report.grey_levels == pytest.approx(2 / 2**0.5, rel=0.01)
    first = report.peaks[0]
    assert (first.x, first.y, first.lies_at) == (0.125, 0.0, "1/8")
    assert first.decibel > 10
    assert report.facts.width == 300
    assert (report.tiles, report.blocks, report.clipped) == (1, 4, 0)
    assert report.limits == ["Everything <but> waves."]
    frequency, _ = max(report.rings, key=lambda ring: ring[1])
    assert frequency == pytest.approx(1 / 8, abs=1 / 128)
    assert (tmp_path / "here" / "index.html").is_file()


def test_pictures_have_one_scale(extractor: Path, picture: Path, tmp_path: Path) -> None:
    run(str(picture), options(extractor, tmp_path / "out"))
    drawn = np.asarray(Image.open(tmp_path / "out" / "signature.png"), dtype=float)
    shown = np.asarray(Image.open(picture), dtype=float)
    np.testing.assert_allclose(drawn, 127.5 + 8 * (shown - 128) / 10, atol=0.51)
    spectrum = np.asarray(Image.open(tmp_path / "out" / "spectrum.png"), dtype=int)
    assert spectrum.shape == (512, 512, 3)
    bright = np.argwhere(spectrum.sum(2) == spectrum.sum(2).max())
    assert {(256, 256 - 64), (256, 256 + 64)} <= {tuple(place) for place in bright}


def test_the_array_is_the_signature(extractor: Path, picture: Path, tmp_path: Path) -> None:
    run(str(picture), options(extractor, tmp_path / "out", array=True))
    array = np.load(tmp_path / "out" / "signature.npy")
    assert array.dtype == np.float16
    shown = np.asarray(Image.open(picture), dtype=float)
    np.testing.assert_allclose(array, (shown - 128) / 1275, atol=2e-4)
    run(str(picture), options(extractor, tmp_path / "out"))
    assert not (tmp_path / "out" / "signature.npy").exists(), "no array of another picture stays behind"


def test_the_page_is_one_file_that_runs_nothing(extractor: Path, tmp_path: Path) -> None:
    path = tmp_path / ("<script>alert(1).png" if sys.platform != "win32" else "plain.png")
    Image.fromarray(wave(0.3, 0.2, (70, 50))).save(path)
    run(str(path), options(extractor, tmp_path / "out"))
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "default-src 'none'" in page
    assert "http://" not in page
    assert "https://" not in page
    assert "Everything &lt;but&gt; waves." in page
    assert "$" not in page.split("</style>")[1], "everything was filled in"
    assert "interpolated" in page, "the picture is smaller than a block"
    for words in ("does not prove", "no verdict", "Their absence proves nothing"):
        assert words in page


def test_a_large_picture_is_said_to_be_tiled(
    extractor: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(wave(0.5, 0.0, (1000, 40))).save(tmp_path / "wide.png")
    report = run(str(tmp_path / "wide.png"), options(extractor, tmp_path / "out"))
    assert report.tiles == 3
    assert "seen in 3 tiles that fade into each other" in capsys.readouterr().out
    assert "seen in 3 tiles" in (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert (report.peaks[0].x, report.peaks[0].lies_at) == (0.5, "1/2")


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (9, 7)])
def test_tiny_pictures(extractor: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    Image.fromarray(wave(0.2, 0.1, size)).save(tmp_path / "tiny.png")
    assert run(str(tmp_path / "tiny.png"), options(extractor, tmp_path / "out")).facts.width == size[0]


def test_what_cannot_be_read_is_one_sentence(extractor: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 this is no picture")
    for name, words in (("broken.jpg", "broken.jpg: "), ("none.png", "none.png: There is no such file.")):
        done = vestige("inspect", name, "--signature", "--model", extractor, folder=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith(f"vestige: {words}")
        assert len(done.stderr.splitlines()) == 1
        assert not done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.jpg", "extractor"], "no empty folders"


def test_too_large_pictures_are_refused(extractor: Path, picture: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"wave\.png: ") as caught:
        run(str(picture), options(extractor, tmp_path / "out", limits=Limits(max_pixels=1000)))
    assert caught.value.code == "too_large"


def test_the_extractor_may_be_named_as_such(extractor: Path, picture: Path, tmp_path: Path) -> None:
    done = vestige("inspect", picture, "--signature", "--extractor", extractor, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "signature by plain 1.0" in done.stdout


def test_packages_of_the_other_kind_are_refused(
    extractor: Path, package: Path, picture: Path, tmp_path: Path
) -> None:
    with pytest.raises(ModelPackageError, match="is a detector, which gives verdicts and no signature"):
        run(str(picture), options(package, tmp_path / "out"))
    done = vestige("scan", "-q", picture, "--model", extractor, folder=tmp_path)
    assert done.returncode == 2
    assert "plain 1.0 is an extractor, which draws signatures and gives no verdict" in done.stderr


def test_without_a_shipped_extractor_one_must_be_named(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "shipped_extractors", list)
    with pytest.raises(ConfigError, match=r"no extractor came with this installation.*--model"):
        run(str(picture), InspectOptions(out=tmp_path / "out"))


def test_a_shipped_extractor_is_the_default(
    extractor: Path, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extractor.rename(tmp_path / "signature")
    monkeypatch.setattr(packages, "_shipped_root", lambda: tmp_path)
    assert run(str(picture), InspectOptions(out=tmp_path / "out")).model == "plain 1.0"


def test_folders_of_others_are_left_alone(extractor: Path, picture: Path, tmp_path: Path) -> None:
    for name, content in (("index.html", "<h1>My site</h1>"), ("thesis.txt", "dear reader")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text(content)
        with pytest.raises(ConfigError, match="not written by vestige inspect"):
            run(str(picture), options(extractor, folder))
        assert [path.read_text() for path in folder.iterdir()] == [content]
    with pytest.raises(ConfigError, match="not written by vestige inspect"):
        run(str(picture), options(extractor, picture))
    (tmp_path / "empty").mkdir()
    for _ in range(2):  # one of ours may be replaced
        run(str(picture), options(extractor, tmp_path / "empty"))


def test_models_lists_both_kinds(
    extractor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    judge = tmp_path / "judge"
    judge.mkdir()
    (judge / "model.onnx").write_bytes(b"graph")
    (judge / "card.json").write_text(json.dumps(card_of(b"graph", name="judge")))
    monkeypatch.setattr(packages, "_shipped_root", lambda: tmp_path)
    cli.models()
    assert capsys.readouterr().out.splitlines() == [
        "judge 1.0 (detector): Bright is generated.",
        "plain 1.0 (extractor, for inspect --signature): Bright is generated.",
    ]


def test_it_needs_no_torch() -> None:
    code = "import sys, vestige.apps.inspect; print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("x", "y", "place"),
    [
        (0.5, 0.0, "1/2"),
        (0.5, 0.5, "1/2"),
        (0.25, 0.5, "1/4"),
        (0.25, -0.25, "1/4"),
        (0.125, 0.5, "1/8"),
        (0.0, 0.375, "1/8"),
        (0.2539, 0.0, "1/4"),
        (0.26, 0.0, None),
        (0.1, 0.5, None),
    ],
)
def test_where_a_peak_lies(x: float, y: float, place: str | None) -> None:
    assert lies_at(x, y) == place
