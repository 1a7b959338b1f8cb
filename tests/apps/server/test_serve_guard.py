"""Around the routes of `vestige serve`: token, headers, log, figures, health, stopping."""

import logging
import re
from pathlib import Path

import pytest
from serve_samples import PNG, form, named, picture, serving, settings_of
from starlette.testclient import TestClient

from vestige.apps.server import plain_routes
from vestige.apps.server.app import create_app

TOKEN = "correct-horse-battery"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        TOKEN,
        f"Basic {TOKEN}",
        "Bearer",
        "Bearer ",
        f"Bearer {TOKEN[:-1]}",
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN} {TOKEN}",
        "Bearer \xfc",
    ],
)
def test_without_the_token_nothing_is_answered(tmp_path: Path, sent: str | None) -> None:
    headers = [] if sent is None else [(b"Authorization", sent.encode("latin-1"))]
    with serving(tmp_path, token=TOKEN) as client:
        for method, path in (("POST", "/v1/scan"), ("GET", "/v1/models"), ("GET", "/v1/nothing")):
            answer = client.request(method, path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.json()["error"]["code"] == "no_token"
            assert answer.headers["content-security-policy"] == POLICY


def test_with_the_token_all_is_answered(tmp_path: Path) -> None:
    with serving(tmp_path, token=TOKEN) as client:
        for scheme in ("Bearer", "bearer"):
            headers = {"Authorization": f"{scheme} {TOKEN}"}
            assert client.post("/v1/scan", content=picture(), headers=headers).status_code == 200
            assert client.get("/v1/models", headers=headers).status_code == 200
        both = [("Authorization", f"Bearer {TOKEN}")] * 2
        assert client.get("/v1/models", headers=both).status_code == 401
        for path in ("/healthz", "/readyz", "/openapi.json", "/metrics"):
            assert client.get(path).status_code == 200
        document = client.get("/openapi.json").json()
    assert document["paths"]["/v1/scan"]["post"]["security"] == [{"token": []}]
    assert "security" not in document["paths"]["/healthz"]["get"]


def test_every_answer_is_dressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_routes, "page_files", lambda: {"index.html": b"<p>", "page.css": b"p {}"})
    with serving(tmp_path) as client:
        answers = [
            client.get(path)
            for path in (
                "/",
                "/static/page.css",
                "/v1/models",
                "/healthz",
                "/openapi.json",
                "/metrics",
                "/nope",
            )
        ]
        answers += [client.get("/v1/scan"), client.post("/v1/scan", content=b"", headers=PNG)]
        answers += [client.options("/v1/scan", headers={"Origin": "http://evil.example"})]
    assert [answer.status_code for answer in answers] == [200] * 6 + [404, 405, 422, 405]
    for answer in answers:
        assert answer.headers["content-security-policy"] == POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answers[0].headers["content-type"] == "text/html; charset=utf-8"
    assert answers[1].headers["content-type"] == "text/css; charset=utf-8"
    assert answers[2].headers["cache-control"] == "no-store"
    assert answers[7].headers["allow"] == "POST"
    assert answers[7].json()["error"]["code"] == "method_not_allowed"


@pytest.mark.parametrize(
    "path", ["../app.py", "%2e%2e/app.py", "..%2fapp.py", "%2fetc%2fpasswd", "", ".", "page.css/", "app.py"]
)
def test_only_the_pages_files_are_given(tmp_path: Path, path: str) -> None:
    with serving(tmp_path) as client:
        assert client.get(f"/static/{path}").status_code == 404


def test_only_files_of_known_kinds_belong_to_the_page() -> None:
    assert all(
        re.fullmatch(r"[\w.-]+\.(html|css|js|svg|png|ico|woff2|txt)", name)
        for name in plain_routes.page_files()
    )


def test_nothing_of_a_request_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "very-private-name"
    with serving(tmp_path) as client:
        client.post("/v1/scan?map=true", **form((named(f"{secret}.png"), picture())))
        client.post(f"/v1/scan?model={secret}", content=picture())
        client.get(f"/{secret}?{secret}")
        client.get(f"/static/{secret}")
        client.request(secret.upper(), "/healthz")
        figures = client.get("/metrics").text
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("vestige")]
    assert len(ours) == 6
    assert ours[0].startswith("POST /v1/scan 200 ")
    for text in (*ours, figures):
        assert secret not in text.lower()


def test_errors_of_ours_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(settings_of(tmp_path))

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(app.state.models.find("")[1], "scan_prepared", fail)
    with TestClient(app) as client:
        answer = client.post("/v1/scan", content=picture())
        assert answer.status_code == 500
        assert answer.json()["error"]["code"] == "internal"
        assert answer.headers["content-security-policy"] == POLICY
        assert 'status="500"} 1.0' in client.get("/metrics").text
    assert "ZeroDivisionError" in caplog.text
    assert (app.state.gate.admitted, app.state.gate.held) == (0, 0)


def value(figures: str, name: str) -> float:
    (line,) = [line for line in figures.splitlines() if line.startswith(name + " ")]
    return float(line.split()[-1])


def test_figures_count_what_was_done(tmp_path: Path) -> None:
    with serving(tmp_path) as client, serving(tmp_path) as other:
        parts = [("files", ("a.png", picture())), ("files", ("b.txt", b"words")), ("files", picture(20))]
        reports = client.post("/v1/scan", files=parts).json()["reports"]
        client.post("/v1/scan", content=b"words")
        figures = client.get("/metrics").text
        assert "vestige_pictures_total{" not in other.get("/metrics").text, "each has its own"
    assert value(figures, 'vestige_pictures_total{outcome="likely_generated"}') == 1
    assert value(figures, 'vestige_pictures_total{outcome="likely_real"}') == 1
    assert value(figures, 'vestige_pictures_total{outcome="unsupported"}') == 2
    for status in (200, 415):
        name = f'vestige_requests_total{{method="POST",route="/v1/scan",status="{status}"}}'
        assert value(figures, name) == 1
    assert value(figures, 'vestige_request_seconds_count{route="/v1/scan"}') == 2
    assert value(figures, "vestige_batch_pictures_sum") == 4
    views = sum(len(report["views"]) for report in reports)
    assert value(figures, "vestige_batch_views_sum") == views
    assert value(figures, "vestige_queue_length") == 0


def test_a_server_that_stops_takes_nothing_new(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        assert client.get("/readyz").json()["status"] == "ok"
        client.app.state.life.stopping = True  # type: ignore[attr-defined]
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").status_code == 200
        answer = client.post("/v1/scan", content=picture())
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "shutting_down")
    assert "retry-after" in answer.headers
