"""What may stand behind the question mark. Anything else is refused, so that no typing error is obeyed."""

from typing import Annotated

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from vestige.apps.server.addresses import LONGEST
from vestige.apps.server.refusals import RefusalError


def _strict(value: object) -> object:
    if value in ("true", "false"):
        return value == "true"
    if isinstance(value, bool):
        return value
    raise ValueError("must be true or false")


Flag = Annotated[bool, BeforeValidator(_strict)]
Model = Annotated[
    str,
    Field(
        max_length=100, description="Name of a model, see /v1/models; empty: the default.", examples=["first"]
    ),
]


class NoQuery(BaseModel):
    """No parameters."""

    model_config = ConfigDict(extra="forbid")


class ScanQuery(NoQuery):
    """Parameters of a scan."""

    model: Model = ""
    map: Flag = Field(False, description="Also a heat map of each picture.")


class UrlScanQuery(ScanQuery):
    """Parameters of a scan on a server that fetches pictures."""

    url: str = Field("", max_length=LONGEST, description="Fetch the picture from here; then without a body.")


class ReportQuery(NoQuery):
    """Parameters of a report."""

    model: Model = ""
    map: Flag = Field(True, description="With heat maps.")


def refused(error: RequestValidationError) -> RefusalError:
    """The refusal of a query that does not follow its schema."""
    words = []
    for item in error.errors():
        name = "".join(letter for letter in str(item["loc"][-1]) if letter.isprintable())[:50]
        if item["type"] != "extra_forbidden":
            words.append(f"{name}: {item['msg'].removeprefix('Value error, ')}")
        elif name == "url":
            words.append("url: this server fetches no pictures")
        else:
            words.append(f"{name}: there is no such parameter")
    return RefusalError("bad_query", "; ".join(words) + ".")
