"""One report as one flat JSON object, and back. The JSON and JSON lines outputs are made of these.

A record holds the keys of `vestige.results.ROW_FIELDS` first (what CSV and Parquet hold too), then the rest
of the report under these keys, so that nothing is said twice:

| key             | what                                                       | where the report has it |
|-----------------|------------------------------------------------------------|-------------------------|
| `schema_version`| version of the report's schema                             | `schema_version`        |
| `thresholds`    | `[low, high]`; between them the verdict is inconclusive    | `evidence.thresholds`   |
| `reasons`       | sentences that explain the verdict                         | `evidence.reasons`      |
| `views`         | the rectangles judged, with their logits                   | `evidence.views`        |
| `heat_map`      | where the evidence lies, or null                           | `evidence.heat_map`     |
| `looked_at`     | "pixels", or "file" for a model that knows only the file   | `evidence.looked_at`    |
| `claims_detail` | what the file says of itself (`claims` is this in words)   | `claims`                |
| `facts`         | what was measured about the file                           | `facts`                 |
| `versions`      | versions of what made the report                           | `versions`              |
| `credentials`   | content credentials (C2PA), or null                        | `credentials`           |
| `lines`         | lines of evidence: pixels, then signed, then unsigned      | `lines`                 |
| `agreement`     | whether the lines agree, or null for an unreadable picture | `agreement`             |

Numbers are finite: NaN and infinities, which JSON does not know, become null. Keys and verdicts may be added
without a new `schema_version` (see `vestige.results`): `deviation`, `generated_share` and the verdict
"likely_partly_generated" came later than the rest, `credentials`, `lines` and `agreement` later still.
"""

import json
import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from vestige.reports.text import has_surrogates
from vestige.results import (
    SCHEMA_VERSION,
    Agreement,
    Claim,
    Credentials,
    EvidenceLine,
    Facts,
    HeatMap,
    ImageReport,
    Verdict,
    ViewScore,
)


class Record(BaseModel):
    """The schema of a record: what `vestige scan --json`, the HTTP API and `record_of` give for one picture.

    See the table of this module, and `vestige.results` for what the fields mean.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str
    verdict: Verdict | None
    probability: float | None
    logit: float | None
    spread: float | None
    model: str
    width: int | None
    height: int | None
    format: str | None
    claims: str | None
    sha256: str | None
    error_code: str | None
    error: str | None
    deviation: float | None
    generated_share: float | None
    schema_version: int = SCHEMA_VERSION
    thresholds: tuple[float, float] | None
    reasons: list[str]
    views: list[ViewScore]
    heat_map: HeatMap | None
    looked_at: Literal["pixels", "file"] | None
    claims_detail: list[Claim]
    facts: Facts | None
    versions: dict[str, str]
    credentials: Credentials | None
    lines: list[EvidenceLine]
    agreement: Agreement | None


def record_of(report: ImageReport) -> dict[str, Any]:
    """The report as one flat JSON-ready object (see the module's table)."""
    full = report.model_dump(mode="json")
    evidence = full["evidence"] or {}
    record = report.row() | {
        "schema_version": full["schema_version"],
        "thresholds": evidence.get("thresholds"),
        "reasons": evidence.get("reasons", []),
        "views": evidence.get("views", []),
        "heat_map": evidence.get("heat_map"),
        "looked_at": evidence.get("looked_at"),
        "claims_detail": full["claims"],
        "facts": full["facts"],
        "versions": full["versions"],
        "credentials": full["credentials"],
        "lines": full["lines"],
        "agreement": full["agreement"],
    }
    return {key: finite(value) for key, value in record.items()}


def report_of(record: dict[str, Any]) -> ImageReport:
    """The report that a record was made of.

    Raises:
        pydantic.ValidationError: if the record does not follow the schema.
    """
    evidence = None
    if record["thresholds"] is not None:
        numbers = {key: record[key] for key in ("logit", "probability", "spread")}
        evidence = {key: math.nan if value is None else value for key, value in numbers.items()}
        evidence |= {key: record[key] for key in ("thresholds", "reasons", "views", "heat_map")}
        evidence |= {key: record.get(key) for key in ("deviation", "generated_share")}  # later than the rest
        evidence["looked_at"] = record.get("looked_at") or "pixels"  # older records do not say it
    error = {"code": record["error_code"], "reason": record["error"]} if record["error_code"] else None
    same = {key: record[key] for key in ("schema_version", "path", "verdict", "model", "facts", "versions")}
    later = {"credentials": record.get("credentials"), "agreement": record.get("agreement")}
    later["lines"] = record.get("lines") or []
    return ImageReport.model_validate(
        {**same, **later, "claims": record["claims_detail"], "evidence": evidence, "error": error}
    )


def finite(value: Any) -> Any:
    """The value with None in place of every float that is NaN or infinite, however deep."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


def json_line(record: dict[str, Any]) -> str:
    """One line of JSON without the newline; readable UTF-8 wherever the text allows it."""
    line = json.dumps(record, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    # An undecodable file name has lone surrogates; only as \u escapes do they survive in a UTF-8 file.
    return json.dumps(record, allow_nan=False, separators=(",", ":")) if has_surrogates(line) else line
