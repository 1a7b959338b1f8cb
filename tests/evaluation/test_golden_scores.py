"""One kept file of scores and the tables that follow from it, compared to the digit.

The scores were drawn once. The tables were checked against scikit-learn below; what else is in them, the
intervals, holds the bootstrap still: a change of one digit there changes every published figure.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    roc_auc_score,
)

from vestige.evaluation import tables
from vestige.evaluation.scores import Scores, read_scores

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def scores() -> Scores:
    return read_scores(GOLDEN / "scores.parquet")


@pytest.fixture(scope="module")
def page(scores: Scores) -> str:
    found = [
        tables.ranking([scores]),
        tables.generators([scores]),
        tables.decisions([scores]),
        tables.verdicts([scores]),
        tables.by_generator(scores),
        tables.by_source(scores),
        tables.reliability(scores),
        *tables.not_scored([scores]),
    ]
    return "\n\n".join(table.markdown() for table in found) + "\n"


def test_to_the_digit(page: str) -> None:
    assert page == (GOLDEN / "tables.md").read_text(encoding="utf-8")


def cells(page: str, row: int) -> list[str]:
    """Cells of the row of the model in the given table of those that have one."""
    line = [line for line in page.splitlines() if line.startswith("| golden 1.0 |")][row]
    return [cell.strip() for cell in line.strip("|").split("|")]


def figure(cell: str) -> float:
    return float(re.match(r"[-+0-9.]+", cell)[0])  # type: ignore[index]


def test_ranking_as_scikit_learn_has_it(scores: Scores, page: str) -> None:
    found = cells(page, 0)
    assert figure(found[2]) == round(roc_auc_score(scores.labels, scores.logits), 3)
    assert figure(found[6]) == round(average_precision_score(scores.labels, scores.logits), 3)
    assert figure(found[7]) == round(average_precision_score(1 - scores.labels, -scores.logits), 3)


def test_decisions_as_scikit_learn_has_them(scores: Scores, page: str) -> None:
    found, labels = cells(page, 2), scores.labels
    called = (scores.probabilities >= scores.thresholds[1]).astype(int)
    assert figure(found[2]) == round(accuracy_score(labels, called), 2)
    assert figure(found[3]) == round(balanced_accuracy_score(labels, called), 2)
    assert figure(found[4]) == round((called[labels == 0] == 0).mean(), 2)
    assert figure(found[5]) == round(called[labels == 1].mean(), 2)
    assert figure(found[6]) == round(f1_score(labels, called), 2)
    assert figure(found[8]) == round(brier_score_loss(labels, scores.probabilities), 3)


def test_official_pairing_decides_who_is_compared(scores: Scores, page: str) -> None:
    groups = np.array(scores.groups)
    inside = (groups == "paired") | (groups == "studio")
    area = roc_auc_score(scores.labels[inside], scores.logits[inside])
    line = next(line for line in page.splitlines() if line.startswith("| paired |"))
    assert figure(line.split("|")[4].strip()) == round(area, 3)
