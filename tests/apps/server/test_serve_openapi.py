"""The OpenAPI document against the server, by machine: what it promises is what is answered."""

from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies as st
from schemathesis.engine import events, from_schema
from serve_samples import picture, settings_of

from vestige.apps.server.app import create_app

PICTURES = [picture(level, (70, 66), kind) for level in (20, 230) for kind in ("PNG", "JPEG")]
# Not every string of bytes is a picture, and the document cannot say which are.
for kind in ("image/*", "application/octet-stream"):
    schemathesis.openapi.media_type(kind, st.sampled_from(PICTURES))
schemathesis.openapi.format("binary", st.sampled_from(PICTURES))

CONFIG = {
    "seed": 1,
    "generation": {"max-examples": 20, "deterministic": True, "database": "none"},
    "phases": {"stateful": {"enabled": False}},
}


def findings(app: Any) -> tuple[int, list[str]]:
    """How many requests were made, and all that schemathesis objects to."""
    schema = schemathesis.openapi.from_asgi(
        "/openapi.json", app, config=schemathesis.Config.from_dict(CONFIG)
    )
    found, cases = [], 0
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            cases += len(event.recorder.cases)
            for case, checks in event.recorder.checks.items():
                request = event.recorder.interactions[case].request
                found += [
                    f"{request.method} {request.uri} {request.body!r:.200}: {check.failure_info.failure}"
                    for check in checks
                    if check.failure_info is not None
                ]
        elif isinstance(event, events.NonFatalError | events.FatalError):
            found.append(repr(getattr(event, "value", None) or event.exception))
    return cases, found


def test_answers_keep_the_promises_of_the_document(tmp_path: Path) -> None:
    cases, found = findings(create_app(settings_of(tmp_path)))
    assert not found, "\n".join(found)
    assert cases > 100
