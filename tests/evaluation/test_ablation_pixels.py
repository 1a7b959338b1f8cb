"""Pixel figures of an ablation: kept beside the logits, averaged over the pictures that have them."""

from pathlib import Path

import numpy as np
import pytest

from vestige.errors import DataError
from vestige.evaluation import tables
from vestige.evaluation.ablation_figures import Figures, figures
from vestige.evaluation.ablation_pixel_tables import pixel_tables
from vestige.evaluation.ablation_pixels import PixelTable
from vestige.evaluation.ablation_record import (
    PictureScores,
    Record,
    TrainRecord,
    read_scores,
    write_scores,
)
from vestige.evaluation.localisation import PixelScores

NAN = float("nan")
LABELS = np.array([0, 0, 0, 1, 1, 1, 1, 1])
GROUPS = ["camera", "camera", "phone", "gan", "gan", "vae", "vae", "vae"]
KINDS = ["", "copy-move", "", "splicing", "splicing", "mixing", "", "splicing"]
# Real pictures, generated in part, and one that is generated as a whole.
AREAS = [0, 0, 0, 0.1, 0.2, 0.3, 1, 0.4]


def pixels(ap: list[float], flagged: list[float]) -> PixelTable:
    """Pixel AP of the four pictures that are generated in part, area flagged of the four others."""
    partly = iter(ap)
    others = iter(flagged)
    lines = []
    for area in AREAS:
        value = next(partly) if 0 < area < 1 else NAN
        lines.append([value, value / 2, value / 4, NAN if 0 < area < 1 else next(others), area])
    return PixelTable(np.array(lines), KINDS)


def scores(table: PixelTable | None) -> PictureScores:
    names = [f"{number}.png" for number in range(8)]
    return PictureScores(names, LABELS, GROUPS, np.arange(8.0), table)


BASE = pixels([0.8, 0.6, 0.4, 0.2], [0.1, 0.2, 0.3, 0.9])
BETTER = pixels([0.9, 0.7, 0.5, 0.3], [0.0, 0.0, 0.3, 1.0])
ROWS = {
    "mapless": {0: scores(None)},
    "base": {0: scores(BASE), 1: scores(BETTER)},
    "better": {0: scores(BETTER)},
}
RECORD = Record(
    title="Made up",
    command="",
    spec={},
    order=["base", "mapless", "better"],
    baseline="base",
    questions={},
    views=2,
    versions={},
    train=TrainRecord(manifest="m.csv", manifest_sha256="", split=""),
)


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "DRAWS", 100)


@pytest.fixture
def found() -> Figures:
    return figures(ROWS, "base")


def test_means_are_over_pictures_that_have_the_figure(found: Figures) -> None:
    ap = found["base"]["pixel AP"]
    assert ap.seeds == pytest.approx([0.5, 0.6])
    assert ap.mean.value == pytest.approx(0.55)
    assert ap.pictures == (0, 4)
    assert found["base"]["pixel F1 at logit 0"].mean.value == pytest.approx(0.275)
    assert found["base"]["pixel IoU at logit 0"].seeds == pytest.approx([0.125, 0.15])
    real = found["better"]["area flagged, wholly real"]
    assert (real.mean.value, real.pictures) == (pytest.approx(0.1), (3, 0))
    whole = found["better"]["area flagged, wholly generated"]
    assert (whole.mean.value, whole.pictures) == (1.0, (0, 1))


def test_differences_are_paired_over_shared_seeds(found: Figures) -> None:
    minus = found["better"]["pixel AP"].minus
    assert minus is not None
    # Each picture better by 0.1, so on every resample.
    assert (minus.value, minus.low, minus.high) == pytest.approx((0.1, 0.1, 0.1))
    assert found["base"]["pixel AP"].minus is None


def test_intervals_are_those_of_resamples_of_groups(found: Figures) -> None:
    # "gan" alone has the mean 0.7, "vae" alone 0.3; the first seed's figures, the second's are 0.1 higher.
    mean = found["base"]["pixel AP"].mean
    assert (mean.low, mean.high) == pytest.approx((0.35, 0.75))
    # The picture is in no draw without "vae": no interval.
    assert np.isnan(found["base"]["area flagged, wholly generated"].mean.low)


def test_rows_without_a_map_have_no_pixel_figures(found: Figures) -> None:
    assert "pixel AP" not in found["mapless"]
    assert found["mapless"]["AUROC"].mean.value == 1
    alone = figures({"mapless": ROWS["mapless"], "better": ROWS["better"]}, "mapless")
    assert alone["better"]["pixel AP"].minus is None, "nothing to compare with"


def test_tables(found: Figures) -> None:
    by_row, by_kind = pixel_tables(RECORD, found, ROWS)
    assert [row[:3] for row in by_row.rows] == [
        ["base", "4", "2"],
        ["mapless", "no map", "-"],
        ["better", "4", "1"],
    ]
    assert by_row.rows[0][3] == "0.550 (0.350-0.750)"
    assert by_row.rows[0][4] == "0.500-0.600"
    assert by_row.rows[2][5] == "+0.100 (+0.100, +0.100) †"
    assert "on average 25.0% of it" in by_row.note
    assert by_kind.title == "By manipulation: base"
    assert by_kind.rows == [
        ["untouched, or not told", "0", "-", "-", "-", "-", "2", "0.175"],
        ["copy-move", "0", "-", "-", "-", "-", "1", "0.100"],
        ["mixing", "1", "0.300", "0.450", "0.225", "0.113", "0", "-"],
        ["splicing", "3", "0.233", "0.583", "0.292", "0.146", "0", "-"],
    ]
    assert pixel_tables(RECORD, found, {"mapless": ROWS["mapless"]}) == []


def test_scores_survive_writing(tmp_path: Path) -> None:
    lines = [("a.png", 0, "camera", -1.5), ('b, "c".png', 1, "gan", 2.25)]
    given = [
        (PixelScores(NAN, NAN, NAN, 0.125, 0.0), ""),
        (PixelScores(0.5, 0.25, 1 / 3, NAN, 0.75), "copy-move"),
    ]
    path = tmp_path / "deep" / "s.csv"
    write_scores(path, lines, given)
    text = path.read_text().splitlines()
    assert text[0] == (
        "picture,label,group,logit,pixel_ap,pixel_f1,pixel_iou,flagged,generated_area,manipulation"
    )
    assert text[1] == "a.png,0,camera,-1.500000,,,,0.125000,0.000000,"
    found = read_scores(path)
    assert found.pictures == ["a.png", 'b, "c".png']
    assert found.logits.tolist() == [-1.5, 2.25]
    assert found.pixels is not None
    assert found.pixels.manipulations == ["", "copy-move"]
    np.testing.assert_allclose(
        found.pixels.numbers, [[NAN, NAN, NAN, 0.125, 0], [0.5, 0.25, 0.333333, NAN, 0.75]]
    )


@pytest.mark.parametrize(
    "line",
    [
        "a.png,0,camera,nan,,,,0.1,0,",
        "a.png,2,camera,1,,,,0.1,0,",
        "a.png,0,camera,1,,,,1.5,0,",
        "a.png,0,camera,1,,,,much,0,",
        "a.png,0,camera,1,,,,0.1",
        "a.png,0,camera,1,,,,0.1,0,,more",
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "s.csv"
    write_scores(path, [], [])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(DataError, match=r"s\.csv: not a file of scores of an ablation"):
        read_scores(path)
