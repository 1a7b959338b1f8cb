"""Test sets of an ablation that differ only in what their pictures went through: AUROC level by level."""

from dataclasses import dataclass

from vestige.evaluation import tables
from vestige.evaluation.ablation_charts import BANDS, Chart, counted
from vestige.evaluation.ablation_figures import Figures, figure_text
from vestige.evaluation.ablation_record import ConditionRecord, Record, SetRecord
from vestige.evaluation.basis import slug
from vestige.evaluation.metrics import Interval
from vestige.evaluation.plots.lines import Series, auroc_along
from vestige.evaluation.protocols import known
from vestige.evaluation.protocols.sweeps import AXES, NONE
from vestige.evaluation.table import Table


@dataclass(frozen=True)
class Section:
    """A chapter of the page: test sets of the same pictures, each after another condition."""

    title: str
    text: str
    charts: list[Chart]
    tables: list[Table]


@dataclass(frozen=True)
class Ladder:
    """Test sets of the same pictures, each after another condition.

    Attributes:
        pictures: the manifest and its split.
        tests: names of test sets with a condition, in the order of the protocols.
    """

    pictures: str
    tests: list[str]


def perturbed(record: Record, found: dict[str, Figures]) -> list[Section]:
    """The sections of all test sets that differ in their condition only.

    Args:
        found: figures of each test set.
    """
    known = ladders(record)
    title = "Under perturbation"
    return [
        Section(
            title if len(known) == 1 else f"{title}: {ladder.pictures}",
            _about(record, ladder),
            _charts(record, ladder, found),
            [*_other_table(record, ladder, found), _conditions_table(record, ladder)],
        )
        for ladder in known
    ]


def ladders(record: Record) -> list[Ladder]:
    """All groups of at least two test sets that differ in nothing but the condition."""
    groups: dict[tuple[str, str, str, int | None], dict[str, str]] = {}
    for name, test in record.tests.items():
        if test.condition is not None:
            key = (test.manifest, test.split, test.manifest_sha256, test.per_group)
            groups.setdefault(key, {}).setdefault(test.condition.title, name)
    order = [name for name, _ in known()]

    def place(test: str) -> int:
        name = _condition(record, test).name
        return order.index(name) if name in order else len(order)

    return [
        Ladder(manifest + (f":{split}" if split else ""), sorted(tests.values(), key=place))
        for (manifest, split, _, _), tests in groups.items()
        if len(tests) > 1
    ]


def shown_as_steps(record: Record) -> set[str]:
    """Test sets whose figures stand in the section of their ladder instead of a section of their own."""
    return {
        test for one in ladders(record) for test in one.tests if _condition(record, test).name != NONE.name
    }


def untouched(test: SetRecord) -> bool:
    """Whether nothing was done to the pictures that a sweep does not do to its start."""
    return test.condition is None or test.condition.name == NONE.name


def _about(record: Record, ladder: Ladder) -> str:
    first = record.tests[ladder.tests[0]]
    text = (
        f"Test sets of {ladder.pictures} (sha256 of the manifest {first.manifest_sha256[:16]}) that differ "
        "in nothing but what their pictures went through before patches were cut. AUROC with its 95 % "
        "interval by group bootstrap; figures.csv has the other metrics and the differences. "
    )
    if first.per_group is not None:
        text += f"At most {first.per_group} pictures of each group and class, drawn once for all rows. "
    seen = max(record.tests[test].seen for test in ladder.tests)
    if not seen:
        return text + "None of them comes from a generator or source that was trained on."
    return text + f"{seen} of them come from generators or sources that were trained on."


def _conditions_table(record: Record, ladder: Ladder) -> Table:
    """What the pictures of each test set of a ladder went through, and how many there are."""
    rows = []
    reasons = []
    for name in ladder.tests:
        test, condition = record.tests[name], _condition(record, name)
        left_out = f"{test.left_out_real} / {test.left_out_generated}"
        counts = f"{test.real} / {test.generated}"
        rows.append([name, condition.title, counts, left_out, condition.text])
        reasons += [test.left_out_reason] if test.left_out_reason else []
    columns = ["test set", "condition", "real / generated", "left out", "what every picture goes through"]
    note = "Pictures that a condition does not take are left out for all rows alike"
    note += f", such as: {reasons[0]}" if reasons else "; there are none."
    return Table("Conditions", columns, rows, note)


def _charts(record: Record, ladder: Ladder, found: dict[str, Figures]) -> list[Chart]:
    """A figure and a table for each family of conditions with levels, beginning with the start of all."""
    start = [test for test in ladder.tests if _condition(record, test).name == NONE.name]
    families: dict[str, list[str]] = {}
    for test in ladder.tests:
        condition = _condition(record, test)
        if test not in start and condition.level is not None:
            families.setdefault(condition.family, []).append(test)
    return [_chart(record, ladder, family, start + tests, found) for family, tests in families.items()]


def _other_table(record: Record, ladder: Ladder, found: dict[str, Figures]) -> list[Table]:
    """AUROC under the conditions that are levels of nothing, if there are such."""
    tests = [test for test in ladder.tests if _condition(record, test).level is None]
    return [_table(record, "Other conditions", tests, found)] if tests else []


def _chart(record: Record, ladder: Ladder, family: str, tests: list[str], found: dict[str, Figures]) -> Chart:
    axis = AXES.get(family, family)
    rows = _rows(record, tests, found)
    series = [
        Series(row, {float(place): _auroc(found, test, row) for place, test in enumerate(tests)})
        for row in rows
    ]
    table = _table(record, f"{family}: {axis}", tests, found)
    under = f"{ladder.pictures}: {counted(record, tests)}. {BANDS}"
    return Chart(
        title=table.title,
        file=f"perturbation-{slug(tests[0])}--{slug(family)}.svg",
        svg=auroc_along(f"Under perturbation: {family}", under, axis, series, table.columns[1:]),
        alt=f"AUROC of each row by {axis} on {ladder.pictures}; figures in the table below.",
        table=table,
    )


def _table(record: Record, title: str, tests: list[str], found: dict[str, Figures]) -> Table:
    cells = [[row, *(_text(found, test, row) for test in tests)] for row in _rows(record, tests, found)]
    return Table(title, ["row", *(_step(_condition(record, test)) for test in tests)], cells)


def _rows(record: Record, tests: list[str], found: dict[str, Figures]) -> list[str]:
    return [row for row in record.order if any(row in found[test] for test in tests)]


def _auroc(found: dict[str, Figures], test: str, row: str) -> Interval:
    if row not in found[test]:
        return Interval(float("nan"), float("nan"), float("nan"))
    return found[test][row]["AUROC"].mean


def _text(found: dict[str, Figures], test: str, row: str) -> str:
    return figure_text(_auroc(found, test, row)) if row in found[test] else tables.NOTHING


def _step(condition: ConditionRecord) -> str:
    bare = condition.level is None or condition.name == NONE.name
    return condition.name if bare else f"{condition.level:g}"


def _condition(record: Record, test: str) -> ConditionRecord:
    condition = record.tests[test].condition
    assert condition is not None
    return condition
