"""The bias audit: what gives the classes of a data set away without a look at what makes a picture generated.

`run_audit` looks at every picture once and returns an `Audit`: coded findings about shortcuts (VA1xx),
duplicates and leakage (VA2xx), labels and composition (VA3xx). Every face renders this object.
"""

from vestige.evaluation.audit.codes import codes_markdown
from vestige.evaluation.audit.findings import Audit, Counts, Figure, Finding, Section
from vestige.evaluation.audit.render import render_markdown, render_terminal
from vestige.evaluation.audit.run import run_audit

__all__ = [
    "Audit",
    "Counts",
    "Figure",
    "Finding",
    "Section",
    "codes_markdown",
    "render_markdown",
    "render_terminal",
    "run_audit",
]
