"""The same picture gives the same answer, however it arrives."""

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vestige
from conftest import brightness_graph, grey_picture
from vestige import Detector, Verdict
from vestige.errors import ImageError

TOLERANCE = 1e-4
EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(scope="module")
def shipped() -> Detector:
    return Detector.load()


@pytest.fixture
def detector(package: Path) -> Detector:
    return Detector.load(package)


def test_a_bright_picture_is_generated_to_the_brightness_model(detector: Detector, tmp_path: Path) -> None:
    report = detector.scan(grey_picture(tmp_path / "bright.png", 230, noise=0))
    assert report.verdict == Verdict.LIKELY_GENERATED
    assert report.logit == pytest.approx(8 * (230 / 255 - 0.5), abs=1e-4)
    assert report.probability == pytest.approx(1 / (1 + np.exp(-report.logit)), abs=1e-6)
    assert report.path == str(tmp_path / "bright.png")
    assert report.facts is not None
    assert (report.facts.width, report.facts.height) == (96, 80)
    assert report.model == "brightness 1.0"
    assert report.versions["vestige"] == vestige.__version__


def test_file_bytes_image_and_array_score_alike(shipped: Detector) -> None:
    path = sorted(EXAMPLES.glob("**/*.jpg"))[0]
    image = Image.open(path)
    sources = [path, str(path), path.read_bytes(), image, np.asarray(Image.open(path).convert("RGB"))]
    logits = [shipped.scan(source).logit for source in sources]
    assert max(logits) - min(logits) <= TOLERANCE


def test_batch_size_and_order_do_not_matter(shipped: Detector) -> None:
    rng = np.random.default_rng(0)
    base = np.asarray(Image.open(sorted(EXAMPLES.glob("**/*.png"))[0]).convert("RGB"))
    pictures = []
    for _ in range(64):
        side = int(rng.integers(100, 330))
        y, x = (int(rng.integers(max(1, length - side))) for length in base.shape[:2])
        pictures.append(np.ascontiguousarray(base[y : y + side, x : x + side]))
    together = [report.logit for report in shipped.scan_many(pictures)]
    order = list(range(64))
    random.Random(1).shuffle(order)
    shuffled = dict(zip(order, shipped.scan_many([pictures[i] for i in order]), strict=True))
    for index in range(64):
        assert shuffled[index].logit == pytest.approx(together[index], abs=TOLERANCE)
    for index in range(0, 64, 9):
        assert shipped.scan(pictures[index]).logit == pytest.approx(together[index], abs=TOLERANCE)


def test_a_heat_map_changes_nothing_else(detector: Detector, tmp_path: Path) -> None:
    pixels = np.full((128, 256, 3), 20, np.uint8)
    pixels[:, 128:] = 240
    plain, mapped = detector.scan(pixels), detector.scan(pixels, heat_map=True)
    assert mapped.evidence is not None
    heat_map = mapped.evidence.heat_map
    assert heat_map is not None
    assert mapped.model_copy(update={"evidence": None}) == plain.model_copy(update={"evidence": None})
    assert mapped.evidence.model_copy(update={"heat_map": None}) == plain.evidence
    values = np.array(heat_map.probabilities)
    assert values[:, 0].max() < 0.1
    assert values[:, -1].min() > 0.9


def test_a_model_with_a_map_shows_it(make_package: Callable[..., Path]) -> None:
    package = make_package(brightness_graph(with_map=True), outputs={"logit": "logit", "map": "map"})
    pixels = np.full((64, 64, 3), 0, np.uint8)
    pixels[:32] = 255
    report = Detector.load(package).scan(pixels, heat_map=True)
    assert report.evidence is not None
    assert report.evidence.heat_map is not None
    assert report.evidence.heat_map.origin == "model"
    values = np.array(report.evidence.heat_map.probabilities)
    assert values[0].min() > 0.9
    assert values[-1].max() < 0.1


def test_one_bad_picture_is_an_error(detector: Detector, tmp_path: Path) -> None:
    with pytest.raises(ImageError) as caught:
        detector.scan(tmp_path / "missing.png")
    assert caught.value.code == "not_found"


def test_among_many_a_bad_picture_is_a_report(detector: Detector, pictures: Path) -> None:
    paths = [pictures / "bright.png", pictures / "broken.jpg", pictures / "dark.png"]
    reports = list(detector.scan_many(paths))
    assert [report.path for report in reports] == [str(path) for path in paths]
    assert [report.verdict for report in reports] == [Verdict.LIKELY_GENERATED, None, Verdict.LIKELY_REAL]
    assert reports[1].error is not None
    assert reports[1].error.code in {"truncated", "corrupt"}
    assert reports[1].probability is None


def test_scan_many_streams(detector: Detector) -> None:
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield np.full((64, 64, 3), 200, np.uint8)

    reports = detector.scan_many(endless())
    for _ in range(5):
        assert next(reports).verdict is not None
    reports.close()
    assert taken < 100


def test_a_tiny_picture_is_inconclusive(detector: Detector) -> None:
    report = detector.scan(np.full((1, 1, 3), 255, np.uint8))
    assert report.verdict == Verdict.INCONCLUSIVE
    assert report.evidence is not None
    assert "too small" in " ".join(report.evidence.reasons)


def test_a_stricter_false_positive_rate_accuses_less(package: Path) -> None:
    pixels = np.full((64, 64, 3), 200, np.uint8)  # logit 2.27, probability 0.906
    assert Detector.load(package, fpr=0.05).scan(pixels).verdict == Verdict.LIKELY_GENERATED
    assert Detector.load(package, fpr=0.01).scan(pixels).verdict == Verdict.INCONCLUSIVE
