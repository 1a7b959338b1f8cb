"""The published figures that we carry: what the files hold, against the papers."""

from importlib import resources

import pytest
import yaml
from pydantic import ValidationError

from vestige.errors import DataError
from vestige.evaluation.published import published, published_markdown
from vestige.evaluation.published.figures import publications
from vestige.evaluation.published.names import benchmarks, generator_name, metric_name
from vestige.evaluation.published.schema import FigureTable, Publication

MIXED = "forensynths-genimage-15"
OURS_THEN = "Attribution consistency"

# Typed from the papers, apart from the files.
TYPED = [
    (MIXED, "CNNDet", "Acc", "Wukong", 50.23),
    (MIXED, "CNNDet", "AP", "Deepfake", 89.03),
    (MIXED, "LNP", "AP", "ADM", 99.25),
    (MIXED, "LNP", "AP", "SAN", 45.29),
    (MIXED, "LGrad", "AP", "SAN", 45.10),
    (MIXED, "DIRE", "AP", "GauGAN", 88.18),
    (MIXED, "DIRE", "Acc", "VQDM", 73.83),
    (MIXED, "UnivFD", "Acc", "Midjourney", 56.18),
    (MIXED, "UnivFD", "AP", "average", 90.45),
    (MIXED, "CLIPing", "Acc", "GLIDE", 82.69),
    (MIXED, "FatFormer", "AP", "Midjourney", 62.76),
    (MIXED, "FatFormer", "Acc", "SAN", 68.04),
    (MIXED, "NPR", "AP", "GauGAN", 67.48),
    (MIXED, "NPR", "AP", "Wukong", 87.56),
    (MIXED, "VIB-Net", "Acc", "Deepfake", 83.20),
    (MIXED, OURS_THEN, "AP", "average", 94.15),
    (MIXED, OURS_THEN, "Acc", "average", 91.69),
    (MIXED, OURS_THEN, "AP", "SAN", 93.63),
    (MIXED, OURS_THEN, "AP", "SD 1.5", 93.45),
    (MIXED, OURS_THEN, "Acc", "BigGAN", 96.28),
    (MIXED, OURS_THEN, "Acc", "StyleGAN", 96.57),
    (MIXED, f"{OURS_THEN}, space of VQDM images", "AP", "average of 2 others", 84.24),
    (MIXED, f"{OURS_THEN}, space of SD1.5 images", "Acc", "average of 7 diffusion models", 96.80),
    ("universal-fake-detect", "GenSign", "AP", "average", 99.37),
    ("aigibench", "GenSign", "AP", "SimSwap", 88.40),
    ("aigibench", "AIDE", "AP", "average", 75.36),
    ("genimage", "GenSign", "Acc", "average", 96.6),
    ("genimage", "Effort", "Acc", "average", 91.1),
    ("gensign-mean-of-3", "GenSign with SRM filters for signatures", "AP", "average", 95.27),
    ("genimage", "MPFT with TAM", "Acc", "average", 98.2),
]
TABLES = [
    pytest.param(table, id=f"{name}-{table.table}-{table.benchmark}-{table.metric}")
    for name, publication in publications().items()
    for table in publication.tables
]


@pytest.mark.parametrize(("benchmark", "method", "metric", "generator", "percent"), TYPED)
def test_typed_a_second_time(
    benchmark: str, method: str, metric: str, generator: str, percent: float
) -> None:
    found = [
        figure.value
        for figure in published(benchmark)
        if (figure.method, figure.metric, figure.generator) == (method, metric, generator)
    ]
    assert found == [round(percent / 100, 4)]


@pytest.mark.parametrize("table", TABLES)
def test_printed_averages_follow_from_the_cells(table: FigureTable) -> None:
    half = 0.5 * 10**-table.decimals
    # Columns that are means themselves bring a rounding of their own.
    tolerance = (2 * half if table.weights else half) + 1e-9
    for row in table.rows:
        if row.cells and row.average is not None and table.complete:
            weights = table.weights or [1] * len(row.cells)
            mean = sum(w * cell for w, cell in zip(weights, row.cells, strict=True)) / sum(weights)
            assert mean == pytest.approx(row.average, abs=tolerance), row.method


@pytest.mark.parametrize("table", TABLES)
def test_numbers_have_no_more_digits_than_printed(table: FigureTable) -> None:
    for row in table.rows:
        for number in [*row.cells, *([] if row.average is None else [row.average])]:
            assert number == round(number, table.decimals), row.method


def test_partial_means_of_table_3_follow_from_table_1() -> None:
    for metric in ("AP", "Acc"):
        found = {
            figure.generator: figure.value
            for figure in published(MIXED)
            if figure.metric == metric
            and figure.method in (OURS_THEN, f"{OURS_THEN}, space of real images of ProGAN's set")
        }
        gans = ("ProGAN", "BigGAN", "CycleGAN", "StarGAN", "StyleGAN", "GauGAN")
        mean = sum(found[name] for name in gans) / 6
        assert mean == pytest.approx(found["average of 6 GANs"], abs=0.5e-4 + 1e-9)
        assert (found["SAN"] + found["Deepfake"]) / 2 == pytest.approx(
            found["average of 2 others"], abs=0.5e-4 + 1e-9
        )


def test_gensign_means_of_three_follow_from_the_benchmarks() -> None:
    parts = ("universal-fake-detect", "aigcdetect-benchmark", "aigibench")
    checked = 0
    for whole in published("gensign-mean-of-3"):
        values = [
            figure.value
            for part in parts
            for figure in published(part)
            if figure.method == whole.method and figure.generator == "average"
        ]
        if values:
            assert len(values) == 3
            assert sum(values) / 3 == pytest.approx(whole.value, abs=0.5e-4 + 1e-9)
            checked += 1
    assert checked == 6


def test_every_figure_is_a_share_with_a_source_and_stands_once() -> None:
    found = published()
    assert len(found) == 401
    keys = [(f.benchmark, f.method, f.generator, f.metric, f.training, f.source) for f in found]
    assert len(set(keys)) == len(keys)
    for figure in found:
        assert 0 <= figure.value <= 1
        assert all((figure.method, figure.training, figure.source, figure.table, figure.reported_by))
        assert figure.benchmark in benchmarks()


def test_cells_that_contradict_their_average_are_left_out_and_said_so() -> None:
    found = [f for f in published(MIXED) if (f.method, f.metric) == ("UnivFD", "AP")]
    assert [figure.generator for figure in found] == ["average"]
    assert "left out" in found[0].notes


def test_own_figures_are_told_from_those_of_others() -> None:
    assert all(figure.own == figure.method.startswith(OURS_THEN) for figure in published(MIXED))
    assert next(f for f in published("genimage") if f.method == "Effort").reported_by.startswith("Fei et al.")


def test_parts_of_a_mixed_test_are_its_generators() -> None:
    parts = benchmarks()[MIXED].parts
    printed = {f.generator for f in published(MIXED) if not f.generator.startswith("average")}
    assert set(parts) == printed
    assert set(parts.values()) <= set(benchmarks())


def test_an_unknown_benchmark_is_answered_with_the_known_ones() -> None:
    with pytest.raises(DataError, match=r"'imagenet'.*genimage.*universal-fake-detect"):
        published("imagenet")


def test_the_benchmarks_and_groups_that_we_can_read_are_known() -> None:
    folder = resources.files("vestige.data").joinpath("benchmarks")
    users_own, real_sources = {"folder-pair", "table"}, {"imagenet", "laion"}
    read = [
        yaml.safe_load(e.read_text(encoding="utf-8")) for e in folder.iterdir() if e.name.endswith(".yaml")
    ]
    assert {entry["name"] for entry in read} - users_own <= set(benchmarks())
    groups = {group for entry in read for group in entry.get("groups", [])}
    assert groups
    assert [group for group in groups - real_sources if generator_name(group) is None] == []


def test_the_list_of_files_counts_the_figures() -> None:
    text = published_markdown()
    assert "401 figures in all" in text
    for name, publication in publications().items():
        line = next(line for line in text.splitlines() if f"`{name}`" in line)
        assert publication.paper.title in line


@pytest.mark.parametrize(
    "spellings",
    [
        (
            "SD v1.4",
            "stable_diffusion_v_1_4",
            "sdv1.4",
            "SD1.4",
            "Stable Diffusion 1.4",
            "imagenet_ai_0419_sdv4",
        ),
        ("Midj", "midjourney", "Midjourney"),
        ("ADM", "adm", "guided"),
        ("WFIR", "whichfaceisreal"),
        ("SITD", "seeingdark"),
        ("DALLE2", "DALL·E 2", "dall-e-2"),
    ],
)
def test_spellings_of_one_generator(spellings: tuple[str, ...]) -> None:
    assert len({generator_name(name) for name in spellings}) == 1
    assert generator_name(spellings[0]) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SD v1.4", "SD v1.5"),
        ("StyleGAN", "StyleGAN2"),
        ("Midjourney", "midjourney-v5"),
        ("glide", "glide_50_27"),
    ],
)
def test_versions_are_not_merged(one: str, other: str) -> None:
    assert generator_name(one) != generator_name(other)
    assert None not in (generator_name(one), generator_name(other))


def test_names_outside_the_lists() -> None:
    assert generator_name("my generator") is None
    assert generator_name("") is None
    assert metric_name("average_precision") == metric_name("mAP") == "AP"
    with pytest.raises(DataError, match=r"'F7'.*AP, Acc"):
        metric_name("F7")


GOOD = """
paper: {title: T, authors: A et al., venue: V, year: 2026, read_from: full text}
tables:
  - {table: Table 1, benchmark: genimage, metric: AP, unit: percent, decimals: 2, training: X,
     orientation: generated, columns: [ADM, GLIDE], rows: [{method: M, cells: [1, 2]}]}
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[1, 2]", "[1]"),
        ("[1, 2]", "[1, 102]"),
        ("cells: [1, 2]", "notes: nothing"),
        ("method: M", "method: M, colour: red"),
        ("unit: percent", "unit: permille"),
        ("[ADM, GLIDE]", "[average of ADM, average of GLIDE]"),
        ("[ADM, GLIDE]", "[ADM, GLIDE], weights: [1, 1]"),
        ("year: 2026", "year: 2026, arxiv: 12"),
    ],
)
def test_the_schema_refuses(old: str, new: str) -> None:
    Publication.model_validate(yaml.safe_load(GOOD))
    with pytest.raises(ValidationError):
        Publication.model_validate(yaml.safe_load(GOOD.replace(old, new, 1)))
