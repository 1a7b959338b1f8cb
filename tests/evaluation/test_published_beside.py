"""Our figures beside published ones, on made-up publications."""

import re

import pytest

from vestige.errors import DataError
from vestige.evaluation.published import PublishedFigure, beside, compare, published
from vestige.evaluation.table import Table


def figure(method: str, generator: str, value: float, **other: str) -> PublishedFigure:
    given = {
        "benchmark": "genimage",
        "metric": "AP",
        "training": "moon pictures",
        "source": "Doe et al., Venue 2030",
        "table": "Table 9",
        "reported_by": "Doe et al., of a method of others",
        "notes": "",
    }
    return PublishedFigure(method=method, generator=generator, value=value, **{**given, **other})


MADE_UP = [
    figure("Alpha", "SD 1.4", 0.8),
    figure("Alpha", "Midjourney", 0.6),
    figure("Alpha", "ADM", 0.1),
    figure("Alpha", "average", 0.5),
    figure("Beta", "SD 1.4", 0.7, reported_by="own method", training="sun pictures"),
    figure("Beta", "Midjourney", 0.5, reported_by="own method", training="sun pictures"),
    figure("Gamma", "average", 0.9),
    figure("Delta", "SD 1.4", 0.99, metric="Acc"),
    figure("Epsilon", "SD 1.4", 0.99, benchmark="chameleon"),
]


@pytest.fixture(autouse=True)
def _made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "published", lambda: MADE_UP)


def row(table: Table, name: str) -> dict[str, str]:
    found = next(row for row in table.rows if row[0].split(" [")[0] == name)
    return dict(zip(table.columns, found, strict=True))


OURS = {"first 0.1.0": {"stable_diffusion_v_1_4": 0.9, "midj": 0.4, "BigGAN": 0.2, "home made": 1.0}}


def test_rows_and_columns_keep_the_published_order() -> None:
    table = beside("genimage", OURS, "AP")
    assert [line[0].split(" [")[0] for line in table.rows] == ["Alpha", "Beta", "Gamma", "first 0.1.0"]
    assert table.columns[1:6] == ["SD 1.4", "Midjourney", "ADM", "BigGAN", "home made"]


def test_cells_means_and_dashes() -> None:
    table = beside("genimage", OURS, "AP")
    # Both have SD 1.4 and Midjourney; ADM is Alpha's only, BigGAN and "home made" are ours only.
    assert row(table, "Alpha") == {
        "method": "Alpha [1]",
        "SD 1.4": "80.00",
        "Midjourney": "60.00",
        "ADM": "10.00",
        "BigGAN": "-",
        "home made": "-",
        "mean of 2": "70.00",
        "average of all": "50.00",
    }
    ours = row(table, "first 0.1.0")
    assert ours["ADM"] == "-"
    assert ours["BigGAN"] == "20.00"
    assert ours["mean of 2"] == "65.00"
    assert ours["average of all"] == "62.50 (4)"
    assert row(table, "Beta")["mean of 2"] == "60.00"
    assert row(table, "Beta")["average of all"] == "-"
    assert row(table, "Gamma")["mean of 2"] == "-"
    assert row(table, "Gamma")["average of all"] == "90.00"


def test_a_model_with_fewer_generators_narrows_the_mean_for_all() -> None:
    table = beside("genimage", {**OURS, "second": {"SD14": 0.3}}, "AP")
    assert "mean of 1" in table.columns
    assert row(table, "Alpha")["mean of 1"] == "80.00"
    assert row(table, "second")["mean of 1"] == "30.00"
    assert "left out: Midjourney, ADM" in table.note


def test_the_note_names_what_is_not_comparable() -> None:
    note = beside("genimage", OURS, "AP").note
    assert "Only published: ADM." in note
    assert "Only ours: BigGAN, home made." in note
    assert "not in the list of generators: home made." in note
    assert "Training data differ" in note
    assert "[1] Doe et al., Venue 2030, Table 9; training data: moon pictures." in note
    assert "[2] Doe et al., Venue 2030, Table 9; training data: sun pictures." in note


def test_own_methods_are_marked() -> None:
    table = beside("genimage", OURS, "AP")
    assert [line[0] for line in table.rows][:2] == ["Alpha [1]", "Beta [2, own method]"]


def test_ours_are_bold_in_markdown_and_html() -> None:
    table = beside("genimage", {"a|b 1": {"SD 1.4": 0.9}}, "AP")
    lines = table.markdown().split("\n")
    assert r"| **a\|b 1** | **90.00** | - | - | **90.00** | **90.00 (1)** |" in lines
    assert sum("**" in line for line in lines) == 1
    bold = re.findall(r"<strong>(.*?)</strong>", table.html())
    assert [text for text in bold if text != "-"] == ["a|b 1", "90.00", "90.00", "90.00 (1)"]
    assert "<strong>80.00" not in table.html()


def test_the_same_generator_twice_is_refused() -> None:
    with pytest.raises(DataError, match="'ADM' and 'guided' are one generator"):
        beside("genimage", {"m": {"ADM": 0.5, "guided": 0.6}}, "AP")


def test_percent_is_refused() -> None:
    with pytest.raises(DataError, match="outside"):
        beside("genimage", {"m": {"ADM": 93.2}}, "AP")


def test_an_undefined_value_is_a_dash_and_named() -> None:
    table = beside("genimage", {"m": {"SD 1.4": 0.5, "ADM": float("nan")}}, "AP")
    assert row(table, "m")["ADM"] == "-"
    assert row(table, "m")["average of all"] == "50.00 (1)"
    assert "Undefined: m on ADM." in table.note


def test_a_generator_that_is_undefined_for_all_keeps_its_column() -> None:
    table = beside("genimage", {"m": {"BigGAN": float("nan")}}, "AP")
    assert row(table, "m")["BigGAN"] == "-"


def test_without_published_figures_ours_stand_alone() -> None:
    table = beside("synthbuster", OURS, "AP")
    assert [line[0] for line in table.rows] == ["first 0.1.0"]
    assert "No published AP on synthbuster" in table.note


def test_without_ours_the_published_stand_alone() -> None:
    table = beside("genimage", {}, "AP")
    assert len(table.rows) == 3
    assert row(table, "Alpha")["mean of 2"] == "70.00"


def test_unknown_benchmarks_and_metrics_are_answered_with_the_known_ones() -> None:
    with pytest.raises(DataError, match=r"'nowhere'.*genimage"):
        beside("nowhere", OURS, "AP")
    with pytest.raises(DataError, match=r"'fame'.*AP, Acc"):
        beside("genimage", OURS, "fame")


def test_a_mixed_test_lends_its_cells_but_not_its_average(monkeypatch: pytest.MonkeyPatch) -> None:
    mixed = "forensynths-genimage-15"
    figures = [
        figure("Zeta", "ADM", 0.7, benchmark=mixed),
        figure("Zeta", "ProGAN", 0.9, benchmark=mixed),
        figure("Zeta", "average", 0.8, benchmark=mixed),
    ]
    monkeypatch.setattr(compare, "published", lambda: figures)
    table = beside("genimage", {"m": {"adm": 0.6}}, "AP")
    assert row(table, "Zeta") == {
        "method": "Zeta [1]",
        "ADM": "70.00",
        "mean of 1": "70.00",
        "average of all": "-",
    }
    assert f"Figures of {mixed}" in table.note
    assert "ProGAN" in beside("forensynths", {}, "AP").columns


@pytest.mark.parametrize("metric", ["AP", "Acc"])
def test_carried_figures_give_a_mean_equal_to_the_printed_average(
    metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "published", published)
    table = beside("forensynths-genimage-15", {}, metric)
    found = row(table, "Attribution consistency")
    printed = next(
        f.value
        for f in published("forensynths-genimage-15")
        if (f.method, f.metric, f.generator) == ("Attribution consistency", metric, "average")
    )
    assert found["mean of 15"] == found["average of all"] == f"{100 * printed:.2f}"
