"""A picture called partly generated counts as called generated, whatever its probability."""

import re

import numpy as np
from score_samples import scores_of

from vestige.evaluation import figures, tables
from vestige.evaluation.page.parts import Gallery, Section, Tile, section
from vestige.evaluation.plots import groups

REAL, UNSURE, WHOLE, PART = "likely_real", "inconclusive", "likely_generated", "likely_partly_generated"

# Ten real pictures of one camera, of which two are called generated and one in part; ten generated ones, of
# which three are called generated and four in part, at probabilities on either side of the threshold.
VERDICTS = [WHOLE] * 2 + [PART] + [UNSURE] * 3 + [REAL] * 4 + [WHOLE] * 3 + [PART] * 4 + [UNSURE, REAL, REAL]
PROBABILITIES = [0.9] * 2 + [0.1] + [0.5] * 3 + [0.1] * 4 + [0.9] * 3 + [0.9, 0.5, 0.1, 0.1] + [0.5, 0.1, 0.1]


def scores():
    logits = np.log(np.array(PROBABILITIES) / (1 - np.array(PROBABILITIES)))
    return scores_of([0] * 10 + [1] * 10, logits, probabilities=PROBABILITIES, verdicts=VERDICTS)


def row(table):
    return dict(zip(table.columns, table.rows[0], strict=True))


def test_calls_and_what_decides():
    found = scores()
    assert found.partly.tolist() == [verdict == PART for verdict in VERDICTS]
    assert set(found.calls.tolist()) == {REAL, UNSURE, WHOLE}
    assert (found.calls == WHOLE).sum() == 3 + 7
    assert found.decisive.tolist() == [
        1.0 if verdict == PART else probability
        for verdict, probability in zip(VERDICTS, PROBABILITIES, strict=True)
    ]


def test_verdicts_count_parts_among_the_calls_of_generated():
    table = tables.verdicts([scores()])
    cells = row(table)
    assert cells["real: called generated / inconclusive / called real"] == "3 (30%) / 3 (30%) / 4 (40%)"
    assert cells["generated: the same"] == "7 (70%) / 1 (10%) / 2 (20%)"
    assert cells["accused among real pictures with a verdict"].startswith("3 of 7 ")
    assert cells["most accused source"] == "camera: 3 of 10"
    assert table.note.endswith("whatever the probability: 5 of brightness 1.0.")


def test_tables_by_group_count_them_too():
    assert row(tables.by_generator(scores()))["called generated"] == "70%"
    cells = row(tables.by_source(scores()))
    assert cells["accused"].startswith("3 (")
    assert (cells["called generated"], cells["inconclusive"], cells["called real"]) == ("30%", "30%", "40%")
    assert groups.sources(scores()) == [groups.Source("camera", 10, (0.3, 0.3, 0.4))]


def test_decisions_at_the_threshold_count_them_too():
    """Right are 7 of 10 real and 7 of 10 generated pictures; the probabilities stay what they are."""
    cells = row(tables.decisions([scores()]))
    for name in ("accuracy", "balanced accuracy", "real right", "generated right"):
        assert cells[name].startswith("0.70 ("), name
    labels = np.repeat([0, 1], 10)
    brier = float(((np.array(PROBABILITIES) - labels) ** 2).mean())
    assert cells["Brier"].startswith(f"{brier:.3f} (")
    written = {one["metric"]: one["value"] for one in figures.figures(scores())}
    assert [written[name] for name in ("accuracy", "real accuracy", "generated accuracy")] == ["0.7000"] * 3
    assert np.isclose(float(written["Brier"]), brier, atol=1e-4)


def test_without_partial_verdicts_no_note_speaks_of_them():
    plain = scores_of([0, 1], [-3, 3])
    for table in (tables.verdicts([plain]), tables.decisions([plain]), tables.by_source(plain)):
        assert "partly" not in table.note


def test_tiles_say_it():
    tile = Tile(b"", "a.png", "camera", "0.10", PART)
    page = section(Section("Pictures", [Gallery("Worst", [tile])]), "s")
    assert re.search(r'<span class="verdict partly">called partly generated</span>', page)
