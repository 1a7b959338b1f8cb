"""What the server answers, as schemas; they are what `/openapi.json` describes."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from vestige.apps.server.refusals import RefusalCode
from vestige.errors import ImageErrorCode
from vestige.inference.card import Measured, OperatingPoint
from vestige.reports.records import Record
from vestige.results import SCHEMA_VERSION


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScanAnswer(_Answer):
    """What was found about the pictures of a request, in their order.

    Attributes:
        reports: one for each picture, as `vestige scan --json` gives it; of one that could not be read
            `error_code` and `error` say why.
        maps: a PNG with transparency for each picture, to be laid over it, as a data URI; null where none was
            asked for or the model says nothing of where.
    """

    schema_version: int = SCHEMA_VERSION
    reports: list[Record]
    maps: list[str | None]


class WhatIsWrong(_Answer):
    """Why a request was refused.

    Attributes:
        code: for machines; also the `error_code` of a report, for routes that take a single picture.
        reason: one sentence for people.
    """

    code: RefusalCode | ImageErrorCode
    reason: str


class RefusalAnswer(_Answer):
    """A whole request was refused."""

    error: WhatIsWrong


class ModelEntry(_Answer):
    """One model of the server, from its card.

    Attributes:
        title: name and version as reports show them.
        default: it is used where no model is asked for.
        ready: it can run; if not, its frozen weights are not on the server.
        looks_at: "file" for a model that knows format, size and metadata and not the picture.
        thresholds: (low, high) probability; between them the verdict is inconclusive.
    """

    name: str
    version: str
    title: str
    summary: str
    default: bool
    ready: bool
    licence: str
    method: str
    looks_at: Literal["pixels", "file"]
    thresholds: tuple[float, float]
    operating_points: list[OperatingPoint]
    failure_modes: list[str]
    results: list[Measured]


class PageLimits(_Answer):
    """What one request may have; clients can say so before they send it."""

    picture_bytes: int
    request_bytes: int
    pixels: int
    signature_pixels: int
    files: int


class ModelsAnswer(_Answer):
    """The models of the server, and what a request may have.

    Attributes:
        signatures: `/v1/signature` is served.
        urls: `?url=` is switched on.
    """

    models: list[ModelEntry]
    limits: PageLimits
    signatures: bool
    urls: bool


class HealthAnswer(_Answer):
    """How the server is."""

    status: Literal["ok", "stopping"] = Field(
        description="`stopping`: it finishes what it has and takes no more."
    )
    version: str
