"""The audit as an object and as a page; composition, sampling, unreadable files."""

import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from audit_sets import Plan, write_set
from rich.console import Console

from vestige.data.manifest import Row
from vestige.errors import DataError
from vestige.evaluation.audit import (
    Audit,
    Finding,
    codes_markdown,
    render_markdown,
    render_terminal,
    run_audit,
)
from vestige.evaluation.audit.codes import CHECKS
from vestige.evaluation.audit.run import draw_sample


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    def bias(plan: Plan, label: int) -> None:
        plan.format = "PNG" if label else "JPEG"

    found = write_set(tmp_path_factory.mktemp("set"), bias)
    return [
        replace(row, name="[red]a|b`*.png\x1b[31m") if row.name == "generator7.png" else row for row in found
    ]


@pytest.fixture(scope="module")
def audit(rows: list[Row]) -> Audit:
    (rows[-1].path.parent / "broken.jpg").write_bytes(b"gone")
    broken = replace(rows[0], path=rows[0].path.parent / "broken.jpg", name="broken.jpg")
    other = replace(rows[57], sha256="0" * 64)
    assert other.name.startswith("[red]")
    return run_audit([*rows[:57], other, *rows[58:], broken], name="made|up", seed=3)


def by_code(audit: Audit) -> dict[str, Finding]:
    return {finding.code: finding for finding in audit.findings}


def test_every_check_is_answered_once(audit: Audit) -> None:
    assert [finding.code for finding in audit.findings] == list(CHECKS)
    assert audit.issues == len(audit.section("issue")) > 0
    assert sum(len(audit.section(name)) for name in ("issue", "tip", "passed", "not_applicable")) == len(
        CHECKS
    )
    assert (audit.pictures.real, audit.pictures.generated, audit.judged.real) == (51, 50, 50)
    assert (audit.groups.real, audit.groups.generated, audit.splits) == (10, 10, {})
    for finding in audit.findings:
        assert bool(finding.remedy) == (finding.section in ("issue", "tip"))


def test_json_goes_both_ways_and_gives_the_same_page(audit: Audit) -> None:
    again = Audit.model_validate_json(audit.model_dump_json())
    assert again == audit
    assert render_markdown(again) == render_markdown(audit)


def test_neither_threads_nor_repetition_change_anything(audit: Audit, rows: list[Row]) -> None:
    some = rows[:15] + rows[50:65]
    found = {run_audit(some, name="x", workers=workers).model_dump_json() for workers in (1, 4)}
    assert len(found) == 1


def test_page(audit: Audit) -> None:
    page = render_markdown(audit)
    assert page.startswith("# Bias audit of made\\|up\n")
    assert "| pictures | 51 | 50 |" in page
    assert re.search(r"\| VA101 \| File format \| issue \| 1\.000 \| 1\.000-1\.000 \|", page)
    assert "PNG: 0 % of real, 100 % of generated" in page
    assert page.index("## Issues") < page.index("## Tips") < page.index("## Passed")
    assert "\x1b" not in page
    assert "\\[red\\]a\\|b\\`\\*.png\\\\x1b\\[31m" in page


def test_terminal(audit: Audit) -> None:
    out = StringIO()
    render_terminal(audit, Console(file=out, width=100))
    text = out.getvalue()
    assert text.index("Issues") < text.index("VA101 File format") < text.index("Tips") < text.index("Passed")
    assert "AUROC 1.000, 95 % interval 1.000-1.000, 50 real, 50 generated" in text
    assert "Remedy: " in text
    assert "[red]a|b`*.png\\x1b[31m" in text
    last = text.rstrip().splitlines()[-1]
    assert last.startswith(f"{audit.issues} issues, {audit.tips} tip")


def test_files_that_are_not_what_they_should_be(audit: Audit) -> None:
    found = by_code(audit)
    assert found["VA306"].section == "issue"
    assert found["VA306"].explanation == "1 of 101 pictures unreadable (1 real, 0 generated)."
    assert found["VA306"].examples[0].startswith("broken.jpg: ")
    assert found["VA310"].section == "issue"
    assert found["VA310"].examples[0].startswith("[red]a")


def test_codes_are_documented() -> None:
    page = codes_markdown()
    for code, check in CHECKS.items():
        assert re.fullmatch(r"VA[123]\d\d", code)
        assert page.count(f"### {code} {check.title}\n") == 1
        assert check.meaning in page
        assert check.remedy in page


def test_disjoint_sizes(tmp_path: Path) -> None:
    def bias(plan: Plan, label: int) -> None:
        plan.width, plan.height = (80 + plan.width % 9 + 60 * label, 150)

    found = by_code(run_audit(write_set(tmp_path, bias, each=1), name="x"))
    assert found["VA301"].section == "issue"
    assert re.search(
        r"Shorter sides: 8\d to 8\d pixels \(real\), 14\d to 14\d \(gen", found["VA301"].explanation
    )


def test_composition(tmp_path: Path) -> None:
    rows = write_set(tmp_path, each=1)
    found = by_code(run_audit(rows, name="x"))
    assert found["VA302"].section == "passed"
    assert found["VA307"].section == "passed"
    assert found["VA305"].explanation == "20 of 20 groups below 10 pictures, 20 pictures in all."
    assert found["VA101"].section == "not_applicable", "ten pictures of a class can show nothing"
    changed = [
        *(replace(row, group="cam", licence="none stated (museum)") for row in rows[:3]),
        *(replace(row, group="cam" if number == 0 else "unknown") for number, row in enumerate(rows[10:])),
    ]
    found = by_code(run_audit(changed, name="x"))
    assert found["VA302"].section == "tip"
    assert found["VA302"].explanation == "The whole set: 3 real, 10 generated."
    assert found["VA303"].explanation == "All generated pictures come from one generator: cam."
    assert found["VA304"].section == "tip"
    assert found["VA307"].explanation == "None stated for 3 of 13 pictures (3 real, 0 generated), in 1 group."
    assert (found["VA308"].section, found["VA308"].examples) == ("issue", ["cam"])
    assert found["VA309"].explanation == "9 of 13 rows without a group."
    assert found["VA101"].section == "not_applicable"
    alone = by_code(run_audit(rows[:5], name="x"))
    assert alone["VA302"].section == "issue"
    assert alone["VA301"].section == "not_applicable"


def test_large_sets_are_sampled_and_it_is_said(tmp_path: Path) -> None:
    rows = write_set(tmp_path, each=2)
    copy = tmp_path / "copy.bin"
    copy.write_bytes(rows[39].path.read_bytes())
    rows.append(replace(rows[39], path=copy, name="copy.bin"))
    seen: list[tuple[int, int]] = []
    audit = run_audit(rows, name="x", limit=20, progress=lambda done, total: seen.append((done, total)))
    assert (audit.judged.real, audit.judged.generated) == (10, 10)
    assert "a sample of 20 of 41 readable pictures" in audit.notes[1]
    assert by_code(audit)["VA203"].section == "tip", "duplicates are looked for among all"
    assert seen == [(number, 41) for number in range(1, 42)]


def test_a_sample_has_of_every_group_its_share() -> None:
    rows = [Row(Path("x"), str(i), i % 2, "big" if i < 900 else f"small{i}") for i in range(1000)]
    chosen = draw_sample(rows, 100, seed=1)
    drawn = [rows[i] for i in chosen]
    assert len({row.group for row in drawn}) == 101
    assert sum(row.group == "big" for row in drawn) == 90
    assert list(chosen) == sorted(set(chosen.tolist()))
    assert list(chosen) == list(draw_sample(rows, 100, seed=1)) != list(draw_sample(rows, 100, seed=2))
    assert list(draw_sample(rows, 1000, seed=1)) == list(range(1000))


def test_nothing_to_audit() -> None:
    with pytest.raises(DataError, match="x: no rows to audit"):
        run_audit([], name="x")
