"""Coverage of made-up clouds, where it can be told by eye, and its plot."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vestige.evaluation.coverage import FEWEST, Covering, Group, Report, Share, conclusion, cover
from vestige.evaluation.plots.cloud import cloud

SETTINGS = {"residual": "highpass"}
FREQUENCIES = 40


def lattice(side: int = 12) -> np.ndarray:
    """Structures on a lattice in two directions of 40, 1 dB apart as the report counts."""
    y, x = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    found = np.zeros((side * side, FREQUENCIES))
    found[:, 3], found[:, 17] = x.ravel(), y.ravel()
    order = np.random.default_rng(0).permutation(len(found))
    return found[order] * FREQUENCIES**0.5


def group(name: str, kind: str, place: tuple[float, float], spread: float = 0.0, away: float = 0.0) -> Group:
    """Four pictures around a place of the lattice, `away` from its plane."""
    rows = np.zeros((4, FREQUENCIES))
    rows[:, 3], rows[:, 17], rows[:, 30] = *place, away
    rows[:2, 3] += spread
    rows[2:, 3] -= spread
    return Group(name, kind, rows * FREQUENCIES**0.5)  # type: ignore[arg-type]


INSIDE, OUTSIDE = (4.4, 7.3), (20.0, 5.0)


def measured(
    *groups: Group, counts: tuple[int, ...] = (144,), structures: np.ndarray | None = None
) -> Report:
    return cover(lattice() if structures is None else structures, groups, counts, SETTINGS)


def test_inside_is_covered_and_outside_is_not() -> None:
    found = measured(
        group("in", "generator", INSIDE),
        group("out", "generator", OUTSIDE),
        group("near", "source", (-0.9, 0.0)),
        group("far", "source", (-1.1, 0.0)),
        group("originals", "originals", (3.0, 3.0)),
    )
    points = {point.name: point for point in found.points}
    assert {name for name, point in points.items() if point.covered} == {"in", "near", "originals"}
    assert points["in"].distance == pytest.approx(0.5, abs=1e-3)
    assert points["out"].distance == pytest.approx(9, abs=1e-3)
    assert points["originals"].distance == pytest.approx(0, abs=1e-3)
    for covering in found.coverings:
        assert covering.radius == covering.median == pytest.approx(1, abs=1e-3)
        # Wilson, 1 of 2, by hand: 1/2 +- 1.96 sqrt(1/8 + 1.96^2/16) / (1 + 1.96^2/2) / sqrt 2 ...
        z2 = 1.959964**2
        half = (z2 * 0.25 / 2 + z2**2 / 16) ** 0.5 / (1 + z2 / 2)
        assert covering.generators == Share(
            covered=1, count=2, share=0.5, low=round(0.5 - half, 4), high=round(0.5 + half, 4)
        )
        assert covering.not_covered == ["out"]
        assert covering.originals
    nearest = points["out"].nearest
    assert found.structures[nearest] == pytest.approx(
        min(found.structures, key=lambda row: np.hypot(*np.subtract(row, points["out"].coordinates)))
    )


def test_components_do_not_see_what_no_structure_does_but_frequencies_do() -> None:
    found = measured(group("aside", "generator", INSIDE, away=5.0))
    (point,) = found.points
    assert len(found.explained) == 2
    assert sum(found.explained) == pytest.approx(1)
    assert point.covered
    assert not point.covered_frequencies
    assert point.distance == pytest.approx(0.5, abs=1e-3)
    assert point.distance_frequencies == pytest.approx((0.5**2 + 5**2) ** 0.5, abs=1e-3)


def test_noise_is_how_far_other_pictures_would_move_a_group() -> None:
    (point,) = measured(group("in", "generator", INSIDE, spread=3.0)).points
    # Four pictures, deviations +3 +3 -3 -3: variance 4 * 9 / 3, of the mean a fourth of it.
    assert point.noise == pytest.approx((4 * 9 / 3 / 4) ** 0.5, abs=1e-3)
    assert point.noise_frequencies == point.noise


def test_with_the_radius_of_the_largest_cloud_coverage_never_falls() -> None:
    rng = np.random.default_rng(1)
    groups = [group(f"g{n}", "generator", tuple(rng.uniform(-3, 14, 2))) for n in range(30)]
    found = measured(*groups, counts=(10, 20, 40, 80, 144))
    rows = [row for row in found.coverings if row.space == "components"]
    shares = [row.generators.covered for row in rows if row.radius_of == "largest"]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]
    radii = [row.radius for row in rows if row.radius_of == "own"]
    assert radii[0] > radii[-1] == pytest.approx(1, abs=1e-3)
    for before, after in zip(rows[1::2], rows[3::2], strict=False):
        assert set(after.not_covered) <= set(before.not_covered)


def test_nested_counts_are_the_first_structures() -> None:
    structures = lattice()
    groups = [group("in", "generator", INSIDE)]
    nested = measured(*groups, counts=(50, 144), structures=structures).coverings
    alone = measured(*groups, counts=(50,), structures=structures[:50]).coverings
    by_frequency = [one for one in nested if one.structures == 50 and one.space == "frequencies"]
    assert by_frequency[0].radius == alone[2].radius
    assert by_frequency[0].generators == alone[2].generators


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(FEWEST, 60))
def test_covered_is_farther_than_five_percent_and_units_and_order_do_not_matter(
    seed: int, count: int
) -> None:
    rng = np.random.default_rng(seed)
    structures = rng.standard_normal((count, 6)) * [9, 3, 1, 0.1, 0.1, 0.1]
    groups = [Group(f"g{n}", "generator", rng.standard_normal((3, 6)) * 4) for n in range(8)]
    found = cover(structures, groups, (count,), {})
    for point in found.points:
        assert point.covered == (point.farther > 0.05)
    turned = cover(structures[::-1], groups[::-1], (count,), {})
    moved = cover(structures + 7, [Group(g.name, g.kind, g.spectra + 7) for g in groups], (count,), {})
    for other in (turned, moved):
        known = {point.name: point for point in other.points}
        for point in found.points:
            assert known[point.name].distance == pytest.approx(point.distance, abs=2e-4)
            assert known[point.name].distance_frequencies == pytest.approx(
                point.distance_frequencies, abs=2e-4
            )


@pytest.mark.parametrize("counts", [(9, 144), (144, 10), (10, 10, 144), (10, 100)])
def test_counts_that_do_not_nest_are_refused(counts: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="counts must rise"):
        measured(group("in", "generator", INSIDE), counts=counts)


def share(covered: int, count: int) -> Share:
    places = [INSIDE] * covered + [OUTSIDE] * (count - covered)
    groups = [group(f"g{n}", "generator", place) for n, place in enumerate(places)]
    return measured(*groups, group("originals", "originals", INSIDE)).coverings[0].generators


def last(generators: Share, sources: Share) -> Covering:
    return Covering(
        structures=144,
        space="components",
        radius_of="own",
        radius=1,
        median=1,
        generators=generators,
        sources=sources,
        originals=False,
        not_covered=[],
    )


@pytest.mark.parametrize(
    ("generators", "sources", "words"),
    [
        ((20, 20), (20, 20), "the intervals overlap, so coverage says nothing about generation here."),
        ((15, 20), (10, 20), "the intervals overlap"),
        ((20, 20), (2, 20), "20 of 20 generators (95 % interval 84% to 100%)"),
        ((20, 20), (2, 20), "the cloud lies where generators are and most real sources are not."),
        ((2, 20), (20, 20), "among real pictures rather than among generators."),
        ((20, 20), (0, 0), "without real sources as a control that says nothing about generation."),
        ((0, 0), (20, 20), "No generator is here"),
    ],
)
def test_the_conclusion_heeds_the_control(
    generators: tuple[int, int], sources: tuple[int, int], words: str
) -> None:
    assert words in conclusion(last(share(*generators), share(*sources)), [])


def test_the_conclusion_says_when_content_alone_moves_a_generator_out() -> None:
    groups = [group("loud", "generator", INSIDE, spread=4.0), group("still", "generator", INSIDE)]
    found = measured(*groups, group("loud", "source", INSIDE, spread=4.0))
    assert "moves 1 of the generators by more than the radius." in found.conclusion


def example(name: str = "sd15") -> Report:
    groups = [
        group(name, "generator", INSIDE),
        group("out", "generator", OUTSIDE),
        group("camera", "source", (2.2, 3.0)),
        group("originals", "originals", (3.0, 3.0)),
    ]
    return measured(*groups, counts=(20, 60, 144))


def test_the_report_reads_back_as_it_was() -> None:
    found = example()
    assert Report.model_validate_json(found.model_dump_json()) == found
    nothing = measured(group("originals", "originals", INSIDE))
    # No nan in JSON: a share of nothing is null.
    assert '"share":null,"low":null,"high":null' in nothing.model_dump_json()


def test_the_plot_shows_who_is_not_covered() -> None:
    drawing = cloud(example())
    root = ET.fromstring(drawing.svg)
    text = ["".join(element.itertext()).strip() for element in root.iter() if element.tag.endswith("}text")]
    assert "sd15 · 4" in text
    assert "out · 4, not covered" in text
    for number in ("1", "2"):  # at the marker and in the list, besides the axes
        assert text.count(number) >= 2
    assert {"20", "60", "144"} <= set(text)
    assert "144 structures, 2 generators, 1 real sources" in " ".join(text)
    assert drawing == cloud(example())
    assert drawing.png.startswith(b"\x89PNG")
    assert not re.search(r"\d{4}-\d\d-\d\dT|Matplotlib", drawing.svg)
    assert b"Matplotlib" not in drawing.png


@pytest.mark.parametrize("name", ['<b>&"</b> $x$ \x1b[31m', "画像", "x" * 300])
def test_any_name_can_be_plotted(name: str) -> None:
    ET.fromstring(cloud(example(name)).svg)


def test_a_cloud_on_a_line_and_nobody_in_it_can_be_plotted() -> None:
    structures = np.zeros((12, FREQUENCIES))
    structures[:, 5] = np.arange(12)
    found = measured(group("originals", "originals", INSIDE), counts=(12,), structures=structures)
    assert len(found.explained) == 1
    ET.fromstring(cloud(found).svg)
