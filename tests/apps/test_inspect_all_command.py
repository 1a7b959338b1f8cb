"""`vestige inspect`: verdict and measurements as page, summary and numbers."""

import io
import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import grey_picture
from extractor_samples import conv_graph, wave, write_extractor
from vestige.apps import inspect_all as command
from vestige.apps.inspect_all import FullOptions, exponent, middle, run
from vestige.errors import ConfigError, ImageError
from vestige.images.block_grid import block_grid
from vestige.images.spectrum import power_spectrum
from vestige.reports.inspection import InspectionReport
from vestige.reports.inspection_words import CAVEATS, HOW_TO_READ, grid_words, has_position
from vestige.reports.wording import TITLES

COMMAND = [sys.executable, "-c", "from vestige.apps.cli import main; main()"]


@pytest.fixture
def extractor(tmp_path: Path) -> Path:
    """Says a tenth of the picture, about its middle grey."""
    kernel = 0.2 * np.eye(3, dtype=np.float32)[..., None, None]
    return write_extractor(tmp_path / "extractor", conv_graph(kernel, -0.1 * 256 / 255))


def options(package: Path, extractor: Path, out: Path, **others: object) -> FullOptions:
    return FullOptions(model=str(package), extractor=str(extractor), out=out, **others)  # type: ignore[arg-type]


class Reader(HTMLParser):
    """Tags that open and close properly, their attributes, and the text."""

    EMPTY = ("meta", "link", "img", "image", "rect", "path", "circle", "use", "input", "br")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.EMPTY:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(folder: Path) -> Reader:
    return Reader((folder / "index.html").read_text(encoding="utf-8"))


def test_the_command(package: Path, extractor: Path, tmp_path: Path) -> None:
    Image.fromarray(wave(1 / 8, 0)).save(tmp_path / "wave.png")
    arguments = ("inspect", "wave.png", "--model", package, "--extractor", extractor)
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=120, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "wave.png: 300 x 280 PNG"
    # The logit is 8 * (mean - 0.5) and nothing is calibrated away: about a half.
    assert lines[1].startswith("verdict:    inconclusive, probability 5")
    # The extractor says a tenth of the wave, whose grey levels are rounded in the file.
    strength = float(((np.asarray(Image.open(tmp_path / "wave.png"), float) - 128) ** 2).mean() ** 0.5) / 10
    assert f"signature:  {strength:.2f} grey levels" in done.stdout
    assert "the strongest at (0.125, 0.000), at multiples of 1/8: JPEG" in done.stdout
    assert lines[-1] == "page: wave-inspection/index.html"
    assert [path.name for path in (tmp_path / "wave-inspection").iterdir()] == ["index.html"]


def test_the_numbers_as_json(
    package: Path, extractor: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = grey_picture(tmp_path / "bright.png", 230, (150, 100))
    returned = run(str(path), options(package, extractor, tmp_path / "out", json=True))
    report = InspectionReport.model_validate_json(capsys.readouterr().out)
    assert report == returned
    pixels = np.asarray(Image.open(path))
    assert report.report.verdict is not None
    assert report.report.path == str(path)
    assert report.window.whole
    for patch in report.patches:
        view = pixels[patch.y : patch.y + patch.height, patch.x : patch.x + patch.width]
        logit = 8 * (view.mean() / 255 - 0.5)
        assert patch.logit == pytest.approx(logit, abs=1e-4)
        assert patch.probability == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-5)
    assert report.report.evidence is not None
    assert len(report.patches) == len(report.report.evidence.views) == 4
    assert report.report.evidence.heat_map is not None
    assert report.residual.rms > 1
    assert report.ela.quality == 90
    assert report.hashes["SHA-256"] == report.facts.sha256
    assert set(report.hashes) == {"SHA-256", "SHA-1", "MD5", "SHA-256 of the pixels"}
    assert report.metadata == []


def test_the_page_is_one_file_that_runs_nothing(package: Path, extractor: Path, tmp_path: Path) -> None:
    name = '<script>alert(1)"&.jpg' if sys.platform != "win32" else "plain.jpg"
    path = tmp_path / name
    hostile = "</style><script>alert(2)</script>"
    exif = Image.Exif()
    exif.update({0x010E: hostile, 0x010F: "\" onload='alert(3)'"})
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 30.5), 4: (11.0, 3.0, 1.0)})
    packet = (
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="&lt;img src=x onerror=alert(4)>">'
        "<dc:rights>&lt;b>$title\u202e</dc:rights></rdf:Description></rdf:RDF>"
    ).encode()
    Image.fromarray(wave(0.3, 0.2, (170, 150))).save(
        path, "JPEG", quality=80, exif=exif, xmp=packet, comment=hostile
    )
    report = run(str(path), options(package, extractor, tmp_path / "out"))
    page = read(tmp_path / "out")
    raw = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "script" not in {tag for tag, _ in page.tags}
    assert "$" not in raw.split("</style>")[1].replace("$title", ""), "everything was filled in"
    for tag, attributes in page.tags:
        assert not any(key.startswith("on") for key in attributes)
        for key in ("src", "href", "xlink:href"):
            where = attributes.get(key) or ""
            assert where == "" or where.startswith(("data:image/", "data:,", "#")), (tag, where)
        if tag == "img":
            assert attributes.get("alt")
        if attributes.get("role") == "img":
            assert attributes.get("aria-label")
    words = "".join(page.words)
    assert hostile in words, "shown as text"
    assert "<img src=x onerror=alert(4)>" in words
    assert "default-src 'none'" in raw
    assert "say where the picture was taken" in words
    assert has_position(report.metadata)
    for part in (*CAVEATS.values(), *(rest for _, rest in HOW_TO_READ)):
        assert part in words
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {attributes["href"] for tag, attributes in page.tags if tag == "a"}
    assert targets <= {f"#{name}" for name in ids}
    assert raw.count("<symbol") >= 5, "the symbols of the verdicts"


def test_the_verdict_stands_on_the_page(package: Path, extractor: Path, tmp_path: Path) -> None:
    run(str(grey_picture(tmp_path / "b.png", 230)), options(package, extractor, tmp_path / "out"))
    words = "".join(read(tmp_path / "out").words)
    assert TITLES["generated"] in words
    assert "What this verdict does not mean" in words
    assert "no JPEG but PNG" in words


def test_a_crop_after_compression_is_told(package: Path, extractor: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    pixels = np.asarray(Image.fromarray(rng.integers(0, 255, (40, 50, 3), np.uint8)).resize((400, 320)))
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=40)
    Image.open(buffer).crop((3, 5, 400, 320)).save(tmp_path / "cropped.png")
    report = run(str(tmp_path / "cropped.png"), options(package, extractor, tmp_path / "out"))
    assert (report.grid.across.phase, report.grid.down.phase) == (5, 3)
    assert "by 3 columns at its left and 5 rows at its top" in grid_words(report)
    Image.open(buffer).save(tmp_path / "png.png")
    report = run(str(tmp_path / "png.png"), options(package, extractor, tmp_path / "out"))
    assert "seems to have been a JPEG before" in grid_words(report)


def test_large_pictures_are_measured_in_a_window(
    package: Path, extractor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "WINDOW", 128)
    pixels = np.random.default_rng(0).integers(0, 255, (200, 400, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "large.png")
    report = run(str(tmp_path / "large.png"), options(package, extractor, tmp_path / "out"))
    window = report.window
    assert (window.x, window.y, window.width, window.height, window.whole) == (128, 32, 128, 128, False)
    assert report.grid.across.strengths[0] == pytest.approx(block_grid(pixels).across.strengths[0])
    words = "".join(read(tmp_path / "out").words)
    assert words.count("128 × 128 pixels from (128, 32) on") == 4


def test_windows_begin_at_whole_blocks() -> None:
    for width, height in ((5000, 40), (2048, 2048), (2049, 9001), (1, 1)):
        window = middle(width, height)
        assert window.x % 16 == window.y % 16 == 0
        assert window.x + window.width <= width
        assert window.y + window.height <= height
        assert window.whole == (max(width, height) <= 2048)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0, 3.0])
def test_the_exponent_of_a_power_law(power: float) -> None:
    size = 1024
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
    frequency[0, 0] = np.inf
    noise = np.fft.rfft2(np.random.default_rng(1).normal(size=(size, size)))
    plane = np.fft.irfft2(noise / frequency ** (power / 2), (size, size)).astype(np.float32)
    assert exponent(power_spectrum(plane)) == pytest.approx(power, abs=0.1)
    assert exponent(power_spectrum(np.zeros((300, 300), np.float32))) is None


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (9, 7)])
def test_tiny_pictures(package: Path, extractor: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    Image.fromarray(wave(0.2, 0.1, size)).save(tmp_path / "tiny.png")
    report = run(str(tmp_path / "tiny.png"), options(package, extractor, tmp_path / "out", json=True))
    json.loads(report.model_dump_json())
    assert InspectionReport.model_validate_json(report.model_dump_json()) == report
    assert "nothing could be measured" in "".join(read(tmp_path / "out").words)


def test_without_an_extractor_the_rest_is_measured(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "shipped_extractors", list)
    path = grey_picture(tmp_path / "b.png", 230)
    report = run(str(path), FullOptions(model=str(package), out=tmp_path / "out"))
    assert report.signature is None
    assert "no extractor came with this installation" in capsys.readouterr().out
    assert "no extractor came with this installation" in "".join(read(tmp_path / "out").words)


def test_what_cannot_be_read_is_one_sentence(package: Path, extractor: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 this is no picture")
    for name in ("broken.jpg", "none.png"):
        with pytest.raises(ImageError, match=rf"{name}: [A-Z].*\.$"):
            run(str(tmp_path / name), options(package, extractor, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_folders_of_others_are_left_alone(package: Path, extractor: Path, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "index.html").write_text("<h1>My site</h1>")
    path = grey_picture(tmp_path / "b.png", 230)
    with pytest.raises(ConfigError, match="not written by vestige inspect"):
        run(str(path), options(package, extractor, folder))
    assert (folder / "index.html").read_text() == "<h1>My site</h1>"
    for _ in range(2):  # one of ours may be replaced
        run(str(path), options(package, extractor, tmp_path / "out"))


def test_options_that_do_not_go_together(tmp_path: Path) -> None:
    for arguments, words in (
        (["--array"], "use it with --signature"),
        (["--signature", "--model", "a", "--extractor", "b"], "give one of them"),
    ):
        done = subprocess.run(
            [*COMMAND, "inspect", "x.png", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=60,
        )
        assert done.returncode == 2
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_it_needs_no_torch() -> None:
    code = "import sys, vestige.apps.inspect_all; print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
