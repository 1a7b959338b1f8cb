"""A model that looks only at the file goes through the same door as all others."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from rich.console import Console

from conftest import card_of
from vestige import Detector, Verdict
from vestige.apps.scan import ScanOptions, run
from vestige.errors import ImageError, ModelPackageError
from vestige.images.file_facts import NAMES, vector
from vestige.inference.card import FactsView, ModelCard, Views
from vestige.inference.package import load_package
from vestige.inference.session import Session
from vestige.reports.html import HtmlSink
from vestige.reports.terminal import print_reports
from vestige.results import Facts, ImageReport

Make = Callable[..., Path]
FILE_ONLY = "This model looks only at the file (format, size, metadata), not at the picture."


def png_graph(length: int = len(NAMES)) -> bytes:
    """ONNX file whose logit is 5 * (it is a PNG) - 2: 3 for a PNG, -2 for all others."""
    weights = np.zeros((length, 1), np.float32)
    weights[NAMES.index("format_png")] = 5
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["facts", "weights"], ["column"]),
            helper.make_node("Squeeze", ["column", "last"], ["product"]),
            helper.make_node("Sub", ["product", "two"], ["logit"]),
        ],
        "png",
        [helper.make_tensor_value_info("facts", TensorProto.FLOAT, ["batch", length])],
        [helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["batch"])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.array([1]), "last"),
            numpy_helper.from_array(np.float32(2), "two"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


@pytest.fixture
def make_facts_package(make_package: Make) -> Make:
    """Writes a package with the PNG graph; keyword arguments change its card."""

    def make(graph: bytes | None = None, **changes: object) -> Path:
        views = {"kind": "facts", "names": list(NAMES)}
        return make_package(graph or png_graph(), **{"name": "file-facts", "views": views, **changes})

    return make


@pytest.fixture
def detector(make_facts_package: Make) -> Detector:
    return Detector.load(make_facts_package())


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """The same grey picture as PNG and as JPEG, and a broken file between them."""
    image = Image.new("RGB", (90, 70), (120, 130, 140))
    paths = [tmp_path / name for name in ("a.png", "broken.png", "b.jpg")]
    image.save(paths[0])
    paths[1].write_bytes(paths[0].read_bytes()[:60])
    image.save(paths[2])
    return paths


def check(report: ImageReport, logit: float) -> None:
    assert report.evidence is not None
    assert report.logit == pytest.approx(logit, abs=1e-5)
    assert report.verdict == (Verdict.LIKELY_GENERATED if logit > 0 else Verdict.LIKELY_REAL)
    assert report.evidence.reasons == [FILE_ONLY]
    assert report.evidence.heat_map is None
    assert report.spread == 0
    assert report.facts is not None
    (view,) = report.evidence.views
    assert (view.x, view.y, view.width, view.height) == (0, 0, report.facts.width, report.facts.height)
    assert view.logit == report.logit


@pytest.mark.parametrize("heat_map", [False, True])
def test_the_file_alone_decides(detector: Detector, files: list[Path], heat_map: bool) -> None:
    png, _, jpeg = files
    for source, logit in (
        (png, 3),
        (str(png), 3),
        (png.read_bytes(), 3),
        (Image.open(png), 3),
        (jpeg, -2),
        (jpeg.read_bytes(), -2),
        (Image.open(jpeg), -2),
        (np.full((64, 33, 3), 9, np.uint8), -2),
        (np.zeros((1, 1), np.uint8), -2),
    ):
        check(detector.scan(source, heat_map=heat_map), logit)


def test_many_score_as_one_and_unreadable_files_stay_errors(detector: Detector, files: list[Path]) -> None:
    sources = files * 13  # more than two batches
    found = list(detector.stream(sources, heat_map=True, keep_pictures=True))
    assert [scanned.report.path for scanned in found] == [str(path) for path in sources]
    alone = {path: detector.scan(path) for path in (files[0], files[2])}
    for path, (report, picture) in zip(sources, found, strict=True):
        if path == files[1]:
            assert picture is None
            assert report.error is not None
            assert report.error.code == "truncated"
        else:
            assert picture is not None
            assert picture.pixels.shape == (70, 90, 3)
            assert report.logit == pytest.approx(alone[path].logit, abs=1e-5)
            assert report.evidence.reasons == alone[path].evidence.reasons
    assert [report.error is None for report in detector.scan_many([files[1]] * 2)] == [False, False]


def test_a_file_that_cannot_be_read_is_an_error(detector: Detector, files: list[Path]) -> None:
    with pytest.raises(ImageError) as caught:
        detector.scan(files[1])
    assert caught.value.code == "truncated"


def test_a_picture_below_the_cards_smallest_side_is_inconclusive(make_facts_package: Make) -> None:
    views = {"kind": "facts", "names": list(NAMES), "minimum_side": 40}
    report = Detector.load(make_facts_package(views=views)).scan(np.zeros((39, 80), np.uint8))
    assert report.verdict == Verdict.INCONCLUSIVE
    assert report.evidence is not None
    assert report.evidence.reasons[0] == FILE_ONLY
    assert "has 39 pixels, the model needs 40" in report.evidence.reasons[1]


def test_the_session_takes_the_numbers_as_they_are(make_facts_package: Make) -> None:
    rows = [vector(Facts(format=name, width=8, height=8, mode="RGB")) for name in ("GIF", "PNG", "array")]
    logits = Session(load_package(make_facts_package())).run(np.stack(rows)).logit
    np.testing.assert_allclose(logits, [-2, 3, -2], atol=1e-6)
    assert logits.dtype == np.float32


def test_cards_keep_their_views_when_written_and_read() -> None:
    facts = ModelCard.model_validate(card_of(b"", views={"kind": "facts", "names": list(NAMES)}))
    assert facts.views == FactsView(names=list(NAMES), minimum_side=1)
    patches = ModelCard.model_validate(card_of(b""))  # its views name no kind, as cards may
    assert patches.views == Views(size=64, count=4, minimum_side=32)
    assert json.loads(patches.model_dump_json())["views"] == {
        "kind": "patches",
        "size": 64,
        "count": 4,
        "resample": "none",
        "minimum_side": 32,
    }
    for card in (facts, patches):
        assert ModelCard.model_validate_json(card.model_dump_json()) == card


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ([*NAMES, "phase_of_the_moon"], "unknown here are phase_of_the_moon;"),
        (NAMES[:-1], f"missing in the card are {NAMES[-1]};"),
        (["moon", *NAMES[1:]], f"unknown here are moon and missing in the card are {NAMES[0]};"),
        (NAMES[::-1], "another order"),
        ([*NAMES, NAMES[0]], "more than once"),
    ],
)
def test_other_facts_are_refused(make_facts_package: Make, names: list[str], words: str) -> None:
    with pytest.raises(ModelPackageError) as caught:
        Detector.load(make_facts_package(views={"kind": "facts", "names": list(names)}))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"views": {"kind": "facts", "names": []}}, "names: List should have at least 1 item"),
        ({"views": {"kind": "facts", "names": list(NAMES), "size": 64}}, "size: Extra inputs"),
        ({"views": {"kind": "patches", "names": list(NAMES)}}, "names: Extra inputs"),
        ({"views": {"kind": "video"}}, "kind must be 'patches' or 'facts'"),
        ({"views": {"kind": []}}, "kind must be 'patches' or 'facts'"),
        ({"views": 7}, "kind must be 'patches' or 'facts'"),
        ({"outputs": {"logit": "logit", "map": "map"}}, "cannot have a map"),
    ],
)
def test_cards_that_make_no_sense_are_refused(
    make_facts_package: Make, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(ModelPackageError, match="not a valid model card") as caught:
        load_package(make_facts_package(**changes))
    assert words in str(caught.value)


def test_a_graph_that_takes_something_else_is_refused(make_facts_package: Make, package: Path) -> None:
    for graph in (png_graph(len(NAMES) + 1), (package / "model.onnx").read_bytes()):
        with pytest.raises(ModelPackageError, match=f"not vectors of the {len(NAMES)} facts"):
            Detector.load(make_facts_package(graph))


def test_reports_show_it(detector: Detector, files: list[Path], tmp_path: Path) -> None:
    found = list(detector.stream(files, heat_map=True, keep_pictures=True))
    with HtmlSink(tmp_path / "report") as sink:
        for scanned in found:
            sink.write(scanned.report, scanned.picture)
    assert (tmp_path / "report" / "index.html").read_text("utf-8").count(FILE_ONLY) == 2
    shown = io.StringIO()
    print_reports([scanned.report for scanned in found], Console(file=shown, width=100))
    assert all(
        words in shown.getvalue() for words in ("likely generated", "likely real", "could not be read")
    )


def test_the_scan_command_runs_it(make_facts_package: Make, files: list[Path], tmp_path: Path) -> None:
    lines, page = tmp_path / "out.jsonl", tmp_path / "page"
    options = ScanOptions(
        text_format="jsonl", output=lines, html=page, model=str(make_facts_package()), quiet=True
    )
    assert run([str(files[0]), str(files[2])], options) == 0
    records = [json.loads(line) for line in lines.read_text("utf-8").splitlines()]
    assert [record["verdict"] for record in records] == ["likely_generated", "likely_real"]
    assert all(record["reasons"] == [FILE_ONLY] and record["heat_map"] is None for record in records)
    assert (page / "index.html").is_file()
