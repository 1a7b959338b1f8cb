"""`vestige overlays` with a model that finds bright places, and one that has no map."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image

from conftest import brightness_graph
from vestige.apps.cli import app
from vestige.data.manifest import Row
from vestige.detector import Detector
from vestige.errors import ConfigError, DataError
from vestige.evaluation import overlays, tables
from vestige.evaluation.metrics import auroc
from vestige.evaluation.overlay_figures import GAIN, figure_tables, figures
from vestige.evaluation.overlay_page import choose, picture_svg
from vestige.evaluation.overlays import Measured, map_scores
from vestige.results import HeatMap, Verdict

LOCALISATION = {
    "calibration": {"slope": 1.0, "intercept": 0.0, "data": "none", "real": 0, "generated": 0},
    "threshold": 0.7,
    "minimum_share": 0.02,
    "maximum_share": 0.6,
    "maximum_rest": 0.4,
    "fpr": 0.05,
}
SIZE = (128, 96)
SQUARE = (slice(16, 56), slice(24, 72))


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "DRAWS", 50)


@pytest.fixture
def model(make_package: Callable[..., Path]) -> Path:
    """Bright is generated, place by place."""
    graph = brightness_graph(with_map=True)
    return make_package(graph, outputs={"logit": "logit", "map": "map"}, localisation=LOCALISATION)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Dark real pictures, some with a bright square that is generated, one with the wrong place bright."""
    folder = tmp_path / "set"
    folder.mkdir()
    rng = np.random.default_rng(0)
    lines = [["path", "label", "group", "mask", "manipulation"]]
    mask = np.zeros(SIZE[::-1], np.uint8)
    mask[SQUARE] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    for number in range(12):
        pixels = rng.integers(20, 50, (*SIZE[::-1], 3), dtype=np.uint8)
        partly = number >= 6
        if partly:
            pixels[mask > 0] = 250
        if number == 11:
            pixels = pixels[:, ::-1].copy()
        name = f"{number}.png"
        Image.fromarray(pixels).save(folder / name)
        kind = ["splicing", "mixing"][number % 2] if partly else ""
        lines.append([name, str(int(partly)), f"group-{number % 3}", "mask.png" if partly else "", kind])
    (folder / "broken.png").write_bytes(b"no picture")
    lines.append(["broken.png", "0", "group-0", "", ""])
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return folder / "manifest.csv"


def call(model: str | Path, data: str | Path, out: Path, *options: str) -> None:
    arguments = ["overlays", str(model), "--data", str(data), "--out", str(out), *options]
    typer.main.get_command(app).main(arguments, standalone_mode=False)


def rows_of(path: Path) -> dict[tuple[str, str, str], dict[str, str]]:
    with path.open(newline="") as file:
        return {
            (row["pictures_are"], row["manipulation"], row["metric"]): row for row in csv.DictReader(file)
        }


def test_pages_of_a_model_that_sees_places(model: Path, data: Path, tmp_path: Path) -> None:
    call(model, data, tmp_path / "out", "--count", "2")
    found = rows_of(tmp_path / "out" / "figures.csv")
    area = (40 * 48) / (SIZE[0] * SIZE[1])
    splicing = found["partly generated", "splicing", "pixel AP"]
    assert float(splicing["value"]) > 0.99
    assert splicing["pictures"] == "3"
    assert float(found["partly generated", "splicing", "pixel F1"]["value"]) > 0.9
    assert float(found["partly generated", "splicing", "area generated"]["value"]) == pytest.approx(
        area, abs=1e-4
    )
    assert float(found["partly generated", "mixing", "pixel AP"]["value"]) < 0.9, "one is mirrored"
    assert found["partly generated", "all together", "pixel AP"]["pictures"] == "6"
    mixing = [float(found["partly generated", "mixing", name]["value"]) for name in ("pixel AP", GAIN)]
    assert mixing[1] == pytest.approx((mixing[0] - area) / (1 - area), abs=2e-4), "all of one area"
    ranked = found["partly generated", "all together", "AUROC of the logit"]
    assert (ranked["value"], ranked["untouched_real"]) == ("1.0000", "6")
    assert ("partly generated", "all together", "AUROC of the generated share") in found
    assert float(found["real", "untouched", "area flagged"]["value"]) == 0
    called = found["partly generated", "splicing", "called likely partly generated"]
    assert float(called["value"]) == 1

    page = (tmp_path / "out" / "README.md").read_text()
    assert "12 pictures of manifest.csv" in page
    assert "It calls 0 of 6 untouched real pictures likely partly generated (95 % 0.0%-39.0%" in page
    assert "1 pictures could not be read, such as broken.png:" in page
    assert str(tmp_path) not in page + (tmp_path / "out" / "index.html").read_text()
    html = (tmp_path / "out" / "index.html").read_text()
    assert html.count("data:image/jpeg") == 2 * 3 + 2 * 2
    # Three galleries of partly generated pictures have a border each, a dark and a bright line of it.
    assert html.count('stroke="#fff"') == 6
    worst = html.split("Worst</h2>")[1].split("</figcaption>")[0]
    assert "11.png" in worst
    assert re.search(r"pixel AP 0\.\d\d, gain over noise [+-]0\.\d\d, F1", worst)
    table = page.split("## Where partly generated pictures are generated")[1]
    (columns, splicing_row) = (
        next(line for line in table.splitlines() if line.startswith(f"| {first}")).split(" | ")
        for first in ("manipulation", "splicing")
    )
    assert splicing_row[columns.index(GAIN)] == "+1.000 (+1.000, +1.000)"

    # It is no page of the benchmark, which holds no pictures.
    assert '<p class="kicker">Vestige overlays</p>' in html
    assert "benchmark" not in html
    assert "publish it only where you may publish those. This page is one file;" in html


def test_pictures_can_be_left_out(model: Path, data: Path, tmp_path: Path) -> None:
    call(model, data, tmp_path / "out", "--count", "1", "--no-pictures")
    html = (tmp_path / "out" / "index.html").read_text()
    assert "data:image/jpeg" not in html
    assert html.count("data:image/png") == 5, "the maps"
    assert 'stroke="#fff"' in html
    assert "No picture is on this page, only maps and borders. This page is one file;" in html
    assert "--no-pictures" in (tmp_path / "out" / "README.md").read_text()


def test_a_model_without_a_map(package: Path, data: Path, tmp_path: Path) -> None:
    call(package, data, tmp_path / "out")
    page = (tmp_path / "out" / "README.md").read_text()
    assert "brightness 1.0 has no map of its own" in page
    assert "it calls no picture partly generated" in page
    found = rows_of(tmp_path / "out" / "figures.csv")
    assert 0 < float(found["partly generated", "splicing", "pixel AP"]["value"]) <= 1
    assert ("partly generated", "splicing", "AUROC of the generated share") not in found


def test_a_killed_scan_goes_on(
    model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    call(model, data, out, "--per-group", "1")
    before = {name: (out / name).read_bytes() for name in ("README.md", "figures.csv", "index.html")}
    lines = (out / "pictures.jsonl").read_text().splitlines(keepends=True)
    assert len(lines) == 1 + 3 + 3 * 2, "three groups: untouched, and two kinds each"
    (out / "pictures.jsonl").write_text("".join(lines[:-1]) + lines[-1][:30])
    scanned: list[Any] = []
    whole = Detector.scan_many

    def counted(self: Detector, sources: Any, **options: Any) -> Any:
        several = list(sources)
        scanned.extend(several)
        return whole(self, several, **options)

    monkeypatch.setattr(Detector, "scan_many", counted)
    call(model, data, out, "--per-group", "1")
    assert len(scanned) == 1
    assert before == {name: (out / name).read_bytes() for name in before}
    call(model, data, out)
    assert len(scanned) == 1 + 13 - 9, "larger: what is there is kept"
    mask = Image.new("L", SIZE, 0)
    mask.paste(255, (1, 2, 30, 40))

    def redraw(drawn: Image.Image) -> None:
        """Always a file of 400 bytes."""
        drawn.save(data.parent / "mask.png")
        with (data.parent / "mask.png").open("ab") as file:
            file.write(b"0" * (400 - file.tell()))
        assert (data.parent / "mask.png").stat().st_size == 400

    redraw(mask)
    call(model, data, out)
    assert len(scanned) == 5 + 6, "another mask"
    call(model, data, out, "--count", "1")
    assert len(scanned) == 11
    redraw(mask.transpose(Image.Transpose.ROTATE_180))
    call(model, data, out)
    assert len(scanned) == 11 + 6, "another mask of the same size"
    (data.parent / "mask.png").unlink()
    with pytest.raises(DataError, match=r"mask\.png: cannot be read"):
        call(model, data, out)


def test_another_model_begins_anew(model: Path, package: Path, data: Path, tmp_path: Path) -> None:
    call(model, data, tmp_path / "out")
    call(package, data, tmp_path / "out")
    lines = (tmp_path / "out" / "pictures.jsonl").read_text().splitlines()
    assert len(lines) == 14
    assert {json.loads(line)[1]["heat_map"]["origin"] for line in lines[1:13]} == {"patches"}
    (tmp_path / "out" / "pictures.jsonl").write_text(lines[0] + "\n[1, 2]\n")
    with pytest.raises(ConfigError, match=r"pictures\.jsonl: damaged"):
        call(package, data, tmp_path / "out")


def test_what_cannot_be_measured_is_refused(
    model: Path, make_package: Callable[..., Path], data: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="--data :dev: MANIFEST or MANIFEST:SPLIT is expected"):
        call(model, ":dev", tmp_path / "out")
    text = data.read_text()
    data.write_text("\n".join(line for line in text.splitlines() if "mask.png" not in line))
    with pytest.raises(DataError, match=r"manifest\.csv: no picture has a mask"):
        call(model, data, tmp_path / "out")
    data.write_text(text)
    Image.new("L", (5, 5)).save(data.parent / "mask.png")
    with pytest.raises(DataError, match=r"mask\.png: a mask of 5x5 pixels for 6\.png of 128x96"):
        call(model, data, tmp_path / "out")


def test_large_pictures_are_measured_on_a_part_of_their_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grey = np.zeros((120, 200), np.uint8)
    grey[30:90, 50:150] = 255
    Image.fromarray(grey).save(tmp_path / "mask.png")
    row = Row(tmp_path / "a.png", "a.png", 1, "g", mask=tmp_path / "mask.png")
    cells = np.full((12, 20), 0.1)
    cells[3:9, 6:15] = 0.9
    found = HeatMap(probabilities=cells.tolist(), origin="model")
    all_of_it = map_scores(row, found, (120, 200), 0.5)
    monkeypatch.setattr(overlays, "MOST_PIXELS", 3000)
    part = map_scores(row, found, (120, 200), 0.5)
    assert part == pytest.approx(all_of_it, abs=0.03, nan_ok=True)
    assert part != all_of_it


def made(number: int, area: float, value: float | None, **changes: Any) -> Measured:
    """A picture with pixel AP, or flagged area, of `value`."""
    figure = {"ap": value, "f1": value, "iou": value} if 0 < area < 1 else {"flagged": value}
    values = {
        "picture": f"{number:02}.png",
        "label": int(area > 0),
        "group": f"g{number % 2}",
        "manipulation": "splicing" if 0 < area < 1 else "",
        "verdict": Verdict.INCONCLUSIVE,
        "logit": float(number),
        "area": area,
    }
    return Measured.model_validate(values | figure | changes)


@pytest.mark.parametrize("pictures", [0, 1, 3, 5, 8, 20])
def test_no_picture_is_chosen_twice(pictures: int) -> None:
    partly = [made(number, 0.5, number / 20) for number in range(pictures)]
    real = [made(50 + number, 0.0, number / 20) for number in range(pictures)]
    best, median, worst, alarmed, others = (one[2] for one in choose([*partly, *real], 3))
    names = [one.picture for one in (*best, *median, *worst)]
    assert len(set(names)) == len(names) == min(9, pictures)
    assert [one.picture for one in best] == [one.picture for one in partly[::-1][:3]]
    names = [one.picture for one in (*alarmed, *others)]
    assert len(set(names)) == len(names) == min(6, pictures)
    assert [one.picture for one in alarmed] == [one.picture for one in real[::-1][:3]]
    if pictures == 20:
        assert [one.picture for one in worst] == ["00.png", "01.png", "02.png"]
        assert {one.picture for one in median} <= {"08.png", "09.png", "10.png", "11.png"}


def test_pictures_are_ranked_by_what_is_gained_over_noise() -> None:
    # Noise has an AP of 0.8 on the first and of 0.4 on the second: (0.85 - 0.8) / 0.2 and (0.75 - 0.4) / 0.6.
    mostly, little = made(0, 0.8, 0.85), made(1, 0.4, 0.75)
    worse = made(2, 0.9, 0.7)
    assert mostly.gain == pytest.approx(0.25)
    assert little.gain == pytest.approx(0.35 / 0.6)
    assert worse.gain == pytest.approx(-2)
    assert made(3, 0.0, 0.5).gain is None
    best, median, worst, *_ = (one[2] for one in choose([mostly, little, worse], 1))
    assert (best, median, worst) == ([little], [mostly], [worse])


def test_figures_by_hand() -> None:
    measured = [
        made(0, 0.0, 0.25, logit=-1.0),
        made(1, 0.0, 0.0, logit=0.5, verdict=Verdict.PARTLY_GENERATED),
        made(2, 0.5, 0.8, logit=0.0),
        made(3, 0.25, 0.6, logit=2.0, verdict=Verdict.PARTLY_GENERATED),
        made(4, 0.0, 0.5, manipulation="copy-move", label=0),
        made(5, 1.0, 0.9),
        made(6, 0.0, None, error="Broken."),
    ]
    found = {(one.kind.are, one.kind.manipulation, one.metric): one for one in figures(measured)}
    value = {key: one.interval.value for key, one in found.items()}
    partly = "partly generated", "splicing"
    assert value[(*partly, "pixel AP")] == pytest.approx(0.7)
    assert value[(*partly, "area generated")] == pytest.approx(0.375)
    # Of each picture, not of the means: (0.8 - 0.5) / 0.5 and (0.6 - 0.25) / 0.75.
    assert value[(*partly, GAIN)] == pytest.approx((0.6 + 7 / 15) / 2)
    assert value[(*partly, "called likely partly generated")] == 0.5
    expected = auroc(np.array([0, 0, 1, 1]), np.array([-1.0, 0.5, 0.0, 2.0]))
    assert value[(*partly, "AUROC of the logit")] == expected == 0.75
    assert value["real", "untouched", "area flagged"] == 0.125
    assert value["real", "copy-move", "area flagged"] == 0.5
    assert value["generated", "untouched", "area flagged"] == 0.9
    assert value["real", "untouched", "called likely partly generated"] == 0.5
    # Each of both groups alone, or both.
    mean = found[(*partly, "pixel AP")].interval
    assert (mean.low, mean.high) == pytest.approx((0.6, 0.8))
    gain = found[(*partly, GAIN)].interval
    assert (gain.low, gain.high) == pytest.approx((7 / 15, 0.6))
    where = figure_tables(list(found.values()), 0.5)[0]
    assert where.rows[0][where.columns.index(GAIN)] == "+0.533 (+0.467, +0.600)"


def test_the_border_lies_where_the_mask_ends() -> None:
    mask = np.zeros((40, 100), bool)
    mask[10:20, 30:50] = True
    svg = picture_svg(made(0, 0.05, 0.5), mask, np.zeros((40, 100, 3), np.uint8))
    (steps,) = set(re.findall(r'<path d="([^"]*)"', svg))
    ends = re.findall(r"M(\d+) (\d+)([hv])1", steps)
    across = {(int(x), int(y)) for x, y, way in ends if way == "h"}
    down = {(int(x), int(y)) for x, y, way in ends if way == "v"}
    assert across == {(x, y) for x in range(30, 50) for y in (10, 20)}
    assert down == {(x, y) for x in (30, 50) for y in range(10, 20)}
    # A wide picture and its overlay lie below each other.
    (width, height) = map(int, re.search(r'viewBox="0 0 (\d+) (\d+)"', svg).groups())  # type: ignore[union-attr]
    assert (width, height) == (100, 88)
