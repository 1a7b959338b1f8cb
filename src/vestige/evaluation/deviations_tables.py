"""The tables of `vestige deviations`, made of its record and of the pictures' files."""

import numpy as np

from vestige.evaluation import tables
from vestige.evaluation.deviations_record import (
    Aside,
    Figure,
    Measured,
    Pictures,
    Record,
    Rule,
    RunRecord,
    Separability,
)
from vestige.evaluation.plots.violin import Violin, by_class
from vestige.evaluation.table import Table

RULES: dict[Rule, str] = {"deviation": "largest deviation", "logit": "smallest absolute logit"}
ROWS = {
    "distance": "inter-class distance",
    "variance, real": "intra-class variance, real",
    "variance, generated": "intra-class variance, generated",
    "variance": "intra-class variance, mean of both",
    "fisher": "Fisher's ratio",
}


def glance(record: Record) -> Table:
    """One row for each run and test set: Fisher's ratio before and after, and the two AUROCs."""
    rows = []
    for one in record.measured:
        known = record.tests[one.test]
        rows.append(
            [
                one.run,
                source_of(record.runs[one.run]),
                one.test,
                f"{known.real} / {known.generated}",
                text(one.before["fisher"]),
                text(one.after["fisher"]),
                text(one.change["fisher"]),
                text(one.magnitude_auroc),
                text(one.logit_auroc),
            ]
        )
    columns = [
        "run",
        "module of",
        "pictures",
        "real / generated",
        "Fisher's ratio before",
        "after",
        "after / before",
        "AUROC of the magnitude",
        "AUROC of the logit",
    ]
    note = (
        "95 % intervals by group. Those of Fisher's ratio are of what is left of it without the noise from "
        "having no more groups: they may lie below the figure."
    )
    return Table("All at a glance", columns, rows, note)


def separability_table(measured: Measured) -> Table:
    """Distance, variances and Fisher's ratio before and after the module."""
    rows = [
        [words, text(measured.before[name]), text(measured.after[name]), text(measured.change[name])]
        for name, words in ROWS.items()
    ]
    before, after = measured.before["fisher"].noise, measured.after["fisher"].noise
    note = "No intervals: a class has fewer than two groups."
    if before is not None and after is not None:
        note = (
            f"About {before:.3g} of Fisher's ratio before the module and {after:.3g} of that after it is "
            "noise from having no more groups; intervals are of what is left, and may lie below the figure."
        )
    return Table("Before and after the module", ["measure", "before", "after", "after / before"], rows, note)


def magnitude_table(run: RunRecord, measured: Measured, pictures: Pictures) -> Table:
    """The magnitude alone, beside the network's logit."""
    rows = [
        [f"{one.name}: median (middle half)", spread(one)]
        for one in by_class(pictures.labels, pictures.magnitudes)
    ]
    side = "larger" if run.source == "real" else "smaller"
    rows += [
        ["Fisher's ratio of the magnitude", text(measured.magnitude_fisher)],
        [f"AUROC of the magnitude, {side} = generated", text(measured.magnitude_auroc)],
        ["AUROC of the network's logit", text(measured.logit_auroc)],
        ["AUROC of the logit minus that of the magnitude", text(measured.logit_minus_magnitude, True)],
    ]
    return Table("Magnitude of the deviation", ["measure", "figure"], rows)


def aside_table(measured: Measured) -> Table:
    """What is left right when pictures in doubt are set aside."""
    rows = []
    for one in measured.aside:
        if one.share == 0:
            if one.rule == "deviation":
                rows.append(_aside_cells("none", "-", one, False))
            continue
        rows.append(_aside_cells(f"{one.share:.0%}", RULES[one.rule], one, True))
    columns = [
        "set aside",
        "first",
        "real / generated kept",
        "accuracy",
        "minus none",
        "minus by logit",
        "balanced accuracy",
        "AUROC",
        "minus none",
        "minus by logit",
    ]
    note = (
        "Accuracy with the threshold at logit 0. Differences are paired, on the same resamples. Setting "
        "aside at random gives on average the row none. Where the kept classes are no longer in their first "
        "proportion, accuracy changes by that alone: balanced accuracy and AUROC do not."
    )
    return Table("Pictures in doubt set aside", columns, rows, note)


def source_of(run: RunRecord) -> str:
    """What a run's module was fitted to, in words."""
    return f"{run.source} pictures" + (f" of {', '.join(run.source_groups)}" if run.source_groups else "")


def _aside_cells(share: str, rule: str, one: Aside, compared: bool) -> list[str]:
    def differences(name: str) -> list[str]:
        if not compared:
            return [tables.NOTHING] * 2
        by_logit = tables.NOTHING if one.rule == "logit" else text(one.minus_logit[name], True)
        return [text(one.minus_all[name], True), by_logit]

    return [
        share,
        rule,
        f"{one.real} / {one.generated}",
        text(one.figures["accuracy"]),
        *differences("accuracy"),
        text(one.figures["balanced accuracy"]),
        text(one.figures["AUROC"]),
        *differences("AUROC"),
    ]


def text(found: Figure, signed: bool = False) -> str:
    """A figure and its interval; distances and ratios with three digits, all else with three decimals."""
    if found.value is None:
        return tables.NOTHING
    free = isinstance(found, Separability)
    digits = _digits(found.value) if free else 3
    sign = "+" if signed else ""
    value = f"{found.value:{sign}.{digits}f}"
    if found.low is not None and found.high is None:
        return f"{value} ({found.low:.{digits}f} or more)"
    if found.low is None or found.high is None:
        return f"{value} (no interval)"
    between = ", " if signed else "-"
    return f"{value} ({found.low:{sign}.{digits}f}{between}{found.high:{sign}.{digits}f})"


def value_text(found: Figure) -> str:
    """A figure without its interval."""
    return "not defined" if found.value is None else f"{found.value:.3f}"


def spread(one: Violin) -> str:
    """Median and quartiles."""
    digits = _digits(one.median)
    low, high = one.middle
    return f"{one.median:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def _digits(value: float) -> int:
    """Decimals that show three digits."""
    return 3 if value == 0 else int(np.clip(2 - np.floor(np.log10(abs(value))), 0, 8))
