"""What an audit says: coded findings, as data. The JSON of `Audit` is what every face renders."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from vestige.evaluation.audit.codes import CHECKS

SCHEMA_VERSION = 1
EXAMPLES = 10  # names per finding; the explanation has the count of all

Section = Literal["issue", "tip", "passed", "not_applicable"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Counts(_Model):
    """A number for each class."""

    real: int
    generated: int


class Figure(_Model):
    """How well something tells the classes apart, out of fold.

    Attributes:
        metric: always the area under the ROC curve.
        value: in [0, 1]; 0.5 is chance.
        low, high: 95 % bootstrap interval.
        real, generated: pictures that the figure was measured on.
    """

    metric: Literal["AUROC"] = "AUROC"
    value: float
    low: float
    high: float
    real: int
    generated: int


class Finding(_Model):
    """What one check found.

    Attributes:
        code: "VA1xx" shortcuts, "VA2xx" duplicates and leakage, "VA3xx" labels and composition.
        title: what the check looks at.
        section: "issue": figures from this set mislead; "tip": know it, mend it if you can; "passed"; or
            "not_applicable": the set does not allow the check.
        explanation: what was found, in sentences with counts.
        remedy: what to do; "" where there is nothing to do.
        figure: only for checks that rank pictures.
        examples: names of pictures or groups, at most `EXAMPLES`.
    """

    code: str
    title: str
    section: Section
    explanation: str
    remedy: str = ""
    figure: Figure | None = None
    examples: list[str] = Field(default_factory=list)


class Audit(_Model):
    """All findings about one data set, in the order of their codes.

    Attributes:
        name: of the data set.
        seed: what folds, samples and resamples were drawn with.
        pictures: rows of the manifest.
        judged: pictures that the shortcut checks (VA1xx) were measured on.
        groups: sources (real) and generators (generated).
        splits: pictures of each split; empty if the manifest has no splits.
        notes: sentences on how the audit was made, sampling among them.
        versions: of the programs whose change may change a figure.
    """

    schema_version: int = SCHEMA_VERSION
    name: str
    seed: int
    pictures: Counts
    judged: Counts
    groups: Counts
    splits: dict[str, Counts]
    notes: list[str]
    versions: dict[str, str]
    findings: list[Finding]

    def section(self, section: Section) -> list[Finding]:
        """The findings of one section, in the order of their codes."""
        return [finding for finding in self.findings if finding.section == section]

    @property
    def issues(self) -> int:
        """How many checks found an issue."""
        return len(self.section("issue"))

    @property
    def tips(self) -> int:
        """How many checks gave a tip."""
        return len(self.section("tip"))


def finding(
    code: str,
    section: Section,
    explanation: str,
    figure: Figure | None = None,
    examples: Sequence[str] = (),
) -> Finding:
    """A finding with title and remedy from the registry; at most `EXAMPLES` of the examples are kept."""
    check = CHECKS[code]
    return Finding(
        code=code,
        title=check.title,
        section=section,
        explanation=explanation,
        remedy=check.remedy if section in ("issue", "tip") else "",
        figure=figure,
        examples=list(examples[:EXAMPLES]),
    )
