"""Tables of imprints in a method's README: their figures are those of the record."""

from pathlib import Path

import pytest

from vestige.errors import DataError
from vestige.evaluation.docs import METHODS, imprint_tables, inserted
from vestige.evaluation.imprint_record import Curves, Generator, Peaks, Report
from vestige.evaluation.imprint_tables import fits_table, imprint_markdown, places_table, read_report

PEAKS = Peaks(mean=1.0, strongest=2.0)


def generator(name: str, others: float | None) -> Generator:
    curves = Curves(
        x=0.125,
        y=0.0,
        differences=[1.0],
        sampled=[1.0],
        white=[0.0],
        peaks_differences=PEAKS,
        peaks_sampled=PEAKS,
        peaks_white=PEAKS,
    )
    return Generator(
        name=name,
        differences=[[0.0, 0.0]],
        sampled=[[0.0, 0.0]],
        spread=3.0,
        scatter=0.08,
        distance=0.456,
        recognised=0.5,
        sampled_recognised=1.0,
        nearest_fused=0.3,
        nearest_others=others,
        nearest_others_fused=others,
        curves=curves,
    )


def fit(generator: str, family: str, scope: str, ks: float, shape: float) -> dict[str, object]:
    known = {"worst_ks": 0.5, "log_likelihood": -1.0, "kurtosis": 12.34, "pictures": 36, "coefficients": 99}
    return {"generator": generator, "family": family, "scope": scope, "ks": ks, "shape": shape, **known}


@pytest.fixture
def report() -> Report:
    fits = [
        fit("vae", family, scope, ks + add, shape)
        for scope, add in (("pooled", 0.0), ("within picture", 0.01))
        for family, ks, shape in (("laplace", 0.1, 1.0), ("gaussian", 0.2, 2.0), ("generalised", 0.05, 0.4))
    ]
    return Report(
        settings={},
        pictures=10,
        sources={"a": 4, "b": 6},
        too_small={},
        explained=[0.7],
        frequencies=[0.1],
        generators=[generator("vae", None), generator("gan", 0.71)],
        fused=[[0.0, 0.0]],
        fits=fits,
        conclusion=["They lie apart.", "So it is."],
    )


def test_fits_stand_in_the_order_of_the_heading(report: Report) -> None:
    (row,) = fits_table(report).rows
    assert row == ["vae", "36", "12.3", "0.100 / 0.200 / 0.050", "0.40", "0.110 / 0.210 / 0.060", "0.40"]


def test_places(report: Report) -> None:
    first, second = places_table(report).rows
    assert first == ["vae", "0.46", "0.08", "50%", "100%", "-", "0.30", "-"]
    assert second[5:] == ["0.71", "0.30", "0.71"]
    assert "10 real pictures of 2 sources" in places_table(report).note
    assert imprint_markdown(report).endswith("\n\n- They lie apart.\n- So it is.")


def test_a_record_is_read_back(report: Report, tmp_path: Path) -> None:
    (tmp_path / "imprints.json").write_text(report.model_dump_json())
    assert read_report(tmp_path / "imprints.json") == report
    (tmp_path / "imprints.json").write_text("{}")
    with pytest.raises(DataError, match=r"imprints\.json: cannot be read as figures of imprints"):
        read_report(tmp_path / "imprints.json")


def test_the_readme_of_nirnet_is_up_to_date() -> None:
    tables = imprint_tables(Path(__file__).parents[2] / "docs" / "results")
    assert METHODS / "nirnet" / "README.md" in tables
    for readme, block in tables.items():
        text = readme.read_text(encoding="utf-8")
        assert inserted(text, "imprints", block) == text, "run make docs-tables"
