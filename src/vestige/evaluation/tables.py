"""Markdown tables from per-picture scores: the only way figures get into the documentation."""

from collections.abc import Sequence

import numpy as np

from vestige.evaluation.metrics import (
    Interval,
    auroc,
    average_precision,
    bootstrap,
    expected_calibration_error,
    recall_at_fpr,
)
from vestige.evaluation.scores import Scores
from vestige.inference.card import Measured

MINIMUM = 10  # groups with fewer pictures are counted but get no figure of their own


def overall(found: Sequence[Scores], draws: int = 1000) -> str:
    """One row per model: AUROC with both intervals, AP, recall at 1 % and 5 % FPR."""
    lines = [
        "| model | real / generated | AUROC | by picture | by group | AP "
        "| recall at 1 % FPR | recall at 5 % FPR |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for scores in found:
        labels, logits = scores.labels, scores.logits
        picture = bootstrap(auroc, labels, logits, draws=draws)
        group = bootstrap(auroc, labels, logits, scores.groups, draws=draws)
        at_1 = bootstrap(lambda a, b: recall_at_fpr(a, b, 0.01), labels, logits, draws=draws)
        at_5 = bootstrap(lambda a, b: recall_at_fpr(a, b, 0.05), labels, logits, draws=draws)
        lines.append(
            f"| {scores.model} | {(labels == 0).sum()} / {(labels == 1).sum()} | {picture.value:.3f} "
            f"| {_range(picture)} | {_range(group)} | {average_precision(labels, logits):.3f} "
            f"| {at_1.value:.2f} ({_range(at_1, 2)}) | {at_5.value:.2f} ({_range(at_5, 2)}) |"
        )
    return "\n".join(lines)


def by_group(scores: Scores, draws: int = 1000) -> str:
    """One row per generator and per source, each against all pictures of the other class."""
    lines = [
        "| group | class | pictures | AUROC against the other class "
        "| called generated | inconclusive | called real |",
        "|---|---|---|---|---|---|---|",
    ]
    groups = np.array(scores.groups)
    verdicts = np.array(scores.verdicts)
    for label, name in ((1, "generated"), (0, "real")):
        for group in sorted(set(groups[scores.labels == label])):
            inside = (groups == group) & (scores.labels == label)
            if inside.sum() < MINIMUM:
                figure = f"fewer than {MINIMUM} pictures"
            else:
                some = inside | (scores.labels != label)
                interval = bootstrap(auroc, scores.labels[some], scores.logits[some], draws=draws)
                figure = f"{interval.value:.3f} ({_range(interval)})"
            shares = [
                f"{(verdicts[inside] == verdict).mean():.0%}"
                for verdict in ("likely_generated", "inconclusive", "likely_real")
            ]
            lines.append(f"| {group} | {name} | {inside.sum()} | {figure} | {' | '.join(shares)} |")
    return "\n".join(lines)


def verdicts(scores: Scores) -> str:
    """How often each verdict was given and how often it was right, at the thresholds that ship."""
    lines = ["| pictures | called generated | inconclusive | called real |", "|---|---|---|---|"]
    found = np.array(scores.verdicts)
    for label, name in ((0, "real"), (1, "generated")):
        inside = scores.labels == label
        cells = []
        for verdict in ("likely_generated", "inconclusive", "likely_real"):
            count = int((found[inside] == verdict).sum())
            cells.append(f"{count} ({count / max(1, inside.sum()):.0%})")
        lines.append(f"| {inside.sum()} {name} | {' | '.join(cells)} |")
    decided = found != "inconclusive"
    real = decided & (scores.labels == 0)
    accused = int((found[real] == "likely_generated").sum())
    error = expected_calibration_error(scores.labels, scores.probabilities)
    share = f" ({accused / real.sum():.0%})" if real.any() else ""
    lines += [
        "",
        f"Of the {int(real.sum())} real pictures with a verdict, {accused}{share} were accused. "
        f"Expected calibration error over all {len(found)} pictures: {error:.3f}.",
    ]
    return "\n".join(lines)


def measured(scores: Scores, data: str, draws: int = 1000) -> list[Measured]:
    """The overall figures as entries of a model card."""
    real, generated = int((scores.labels == 0).sum()), int((scores.labels == 1).sum())
    metrics = {
        "AUROC": auroc,
        "recall at 1 % FPR": lambda a, b: recall_at_fpr(a, b, 0.01),
        "recall at 5 % FPR": lambda a, b: recall_at_fpr(a, b, 0.05),
    }
    found = []
    for name, metric in metrics.items():
        interval = bootstrap(metric, scores.labels, scores.logits, scores.groups, draws=draws)
        found.append(
            Measured(
                data=data,
                metric=f"{name}, interval by group",
                value=round(interval.value, 4),
                low=round(interval.low, 4),
                high=round(interval.high, 4),
                real=real,
                generated=generated,
            )
        )
    return found


def _range(interval: Interval, digits: int = 3) -> str:
    return f"{interval.low:.{digits}f}-{interval.high:.{digits}f}"
