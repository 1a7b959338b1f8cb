"""The answers of `vestige serve`: they say what `vestige scan` and the Python API say."""

import base64
import json
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from serve_samples import PNG, form, named, picture, serving, settings_of, tower_package, write_package

from vestige import Detector
from vestige.apps.server.app import create_app
from vestige.apps.server.labels import LONGEST, label
from vestige.errors import ConfigError, ModelPackageError
from vestige.reports.records import Record, record_of

BROKEN = b"\xff\xd8\xff\xe0 this is no picture"


def pixels_of(uri: str) -> np.ndarray:
    head, _, data = uri.partition(",")
    assert head == "data:image/png;base64"
    image = Image.open(BytesIO(base64.b64decode(data)))
    assert image.mode == "RGBA"
    return np.asarray(image)


def test_a_report_is_what_the_python_api_gives(tmp_path: Path) -> None:
    data = picture(230, kind="JPEG")
    with serving(tmp_path) as client:
        answer = client.post("/v1/scan", content=data, headers={"Content-Type": "image/jpeg"})
        mapped = client.post("/v1/scan?map=true", content=data)
    assert answer.status_code == 200
    assert answer.json().keys() == {"schema_version", "reports", "maps"}
    (report,) = answer.json()["reports"]
    detector = Detector.load(tmp_path / "model")
    expected = record_of(detector.scan(data))
    assert report == {**expected, "path": "picture-1"}
    assert report["verdict"] == "likely_generated"
    assert answer.json()["maps"] == [None]
    with_map = record_of(detector.scan(data, heat_map=True))
    assert mapped.json()["reports"] == [{**with_map, "path": "picture-1"}]
    assert json.loads(Record.model_validate(report).model_dump_json()) == report


def test_a_report_is_what_the_command_line_prints(tmp_path: Path) -> None:
    files = {"bright.png": picture(230), "dark.webp": picture(20, kind="WEBP"), "broken.jpg": BROKEN}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with serving(tmp_path) as client:
        answer = client.post("/v1/scan", files=[("files", item) for item in files.items()])
    assert answer.status_code == 200
    command = [sys.executable, "-c", "from vestige.apps.cli import main; main()", "scan", "--json"]
    done = subprocess.run(
        [*command, "--model", "model", *files], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    printed = json.loads(done.stdout)
    assert answer.json()["reports"] == printed
    assert [json.loads(Record.model_validate(row).model_dump_json()) for row in printed] == printed
    assert [row["verdict"] for row in printed] == ["likely_generated", "likely_real", None]


def test_pictures_keep_their_order_and_one_may_fail(tmp_path: Path) -> None:
    parts = [
        ("files", (f"{number}.png", picture(level, seed=number)))
        for number, level in enumerate((230, 20, 128))
    ]
    parts.insert(1, ("files", ("notes.txt", b"only words")))
    with serving(tmp_path) as client:
        answer = client.post("/v1/scan?map=true", files=parts)
    assert answer.status_code == 200
    reports = answer.json()["reports"]
    assert [report["path"] for report in reports] == ["0.png", "notes.txt", "1.png", "2.png"]
    verdicts = ["likely_generated", None, "likely_real", "inconclusive"]
    assert [report["verdict"] for report in reports] == verdicts
    assert reports[1]["error_code"] == "unsupported"
    assert [map is None for map in answer.json()["maps"]] == [False, True, False, False]


def test_a_map_is_transparent_where_it_says_nothing(tmp_path: Path) -> None:
    pixels = np.full((128, 256, 3), 128, np.uint8)
    pixels[:, 192:] = 255
    out = BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    model = write_package(tmp_path / "mapped", with_map=True)
    with serving(tmp_path, models=(str(model),)) as client:
        shown = pixels_of(client.post("/v1/scan?map=true", content=out.getvalue()).json()["maps"][0])
    height, width = shown.shape[:2]
    assert max(height, width) <= 1024
    assert width == 2 * height
    assert shown[:, : width // 3, 3].max() == 0
    assert shown[:, -width // 8 :, 3].min() > 100
    assert (shown[:, -1, 0] > shown[:, -1, 2]).all(), "orange leans to generated"


@pytest.mark.parametrize(
    ("files", "status", "codes"),
    [
        ([b"only words"], 415, ["unsupported"]),
        ([BROKEN], 422, None),
        ([b""], 422, ["empty"]),
        ([picture(size=(400, 400))], 413, ["too_large"]),
        ([b"only words", b"%PDF-1.7"], 415, ["unsupported", "unsupported"]),
        ([b"only words", b""], 422, ["unsupported", "empty"]),
        ([b"only words", picture()], 200, None),
    ],
)
def test_the_status_when_nothing_could_be_read(
    tmp_path: Path, files: list[bytes], status: int, codes: list[str] | None
) -> None:
    with serving(tmp_path, max_pixels=100_000) as client:
        for route in ("scan", "report"):
            parts = [("files", (f"{number}", data)) for number, data in enumerate(files)]
            answer = client.post(f"/v1/{route}", files=parts)
            assert answer.status_code == status
        if len(files) == 1:
            raw = client.post("/v1/scan", content=files[0], headers={"Content-Type": "image/png"})
            assert raw.status_code == status
    if status != 200:
        reports = answer.json()["reports"]
        assert all(report["error"].endswith(".") for report in reports)
        assert codes is None or [report["error_code"] for report in reports] == codes


def test_several_models(tmp_path: Path) -> None:
    other = write_package(tmp_path / "other", name="other", calibration=_calibration(intercept=-9.0))
    absent = tower_package(tmp_path / "towered")
    first = settings_of(tmp_path).models[0]
    with serving(tmp_path, models=(first, str(other), str(absent))) as client:
        entries = client.get("/v1/models").json()["models"]
        scan = [
            client.post(f"/v1/scan?model={name}", content=picture()) for name in ("", "brightness", "other")
        ]
        unready = client.post("/v1/scan?model=towered", content=picture())
        unknown = [client.post(f"/v1/{route}?model=nope", content=b"x") for route in ("scan", "report")]
    assert [(entry["name"], entry["default"], entry["ready"]) for entry in entries] == [
        ("brightness", True, True),
        ("other", False, True),
        ("towered", False, False),
    ]
    assert entries[0]["failure_modes"] == ["Everything but brightness."]
    assert entries[0]["operating_points"][0] == {"fpr": 0.01, "threshold": 0.95}
    reports = [answer.json()["reports"][0] for answer in scan]
    assert [report["model"] for report in reports] == ["brightness 1.0", "brightness 1.0", "other 1.0"]
    assert reports[0]["probability"] > 0.9 > 0.1 > reports[2]["probability"]
    assert unready.status_code == 503
    assert unready.json()["error"]["code"] == "model_not_ready"
    assert "vestige fetch" in unready.json()["error"]["reason"]
    for answer in unknown:
        assert answer.status_code == 404
        assert answer.json() == {
            "error": {
                "code": "unknown_model",
                "reason": "This server has no such model; it has brightness, other, towered.",
            }
        }


def _calibration(intercept: float) -> dict[str, object]:
    return {"slope": 1.0, "intercept": intercept, "data": "none", "real": 0, "generated": 0}


def test_models_that_cannot_be_served(tmp_path: Path) -> None:
    first = settings_of(tmp_path).models[0]
    with pytest.raises(ConfigError, match="there is a model 'brightness' already"):
        create_app(settings_of(tmp_path, models=(first, first)))
    with pytest.raises(ModelPackageError, match="towered"):
        create_app(settings_of(tmp_path, models=(str(tower_package(tmp_path / "towered")),)))
    with pytest.raises(ModelPackageError, match="neither a shipped model"):
        create_app(settings_of(tmp_path, models=(first, "nowhere")))


def test_the_signature_is_the_extractors_amplified(tmp_path: Path) -> None:
    # The plain extractor says the picture in [-1, 1], so 8 times as strong about the middle.
    data = picture(130, (70, 50))
    with serving(tmp_path) as client:
        for answer in (
            client.post("/v1/signature", content=data),
            client.post("/v1/signature", files=[("files", ("a.png", data))]),
        ):
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "image/png"
            drawn = np.asarray(Image.open(BytesIO(answer.content)), float)
            levels = np.asarray(Image.open(BytesIO(data)), float)
            expected = np.clip(127.5 + 8 * (levels - 127.5), 0, 255)
            np.testing.assert_allclose(drawn, expected, atol=0.51)
        for content, status, code in ((b"words", 415, "unsupported"), (b"", 422, "empty")):
            answer = client.post("/v1/signature", content=content)
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        two = client.post("/v1/signature", files=[("files", data), ("files", data)])
        assert (two.status_code, two.json()["error"]["code"]) == (422, "too_many_files")
    with serving(tmp_path, max_signature_pixels=1000) as client:
        answer = client.post("/v1/signature", content=data)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")


def test_the_report_is_the_page_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(230, (900, 700)))
    (tmp_path / "b.jpg").write_bytes(BROKEN)
    with serving(tmp_path) as client:
        parts = [("files", (name, (tmp_path / name).read_bytes())) for name in ("a.png", "b.jpg")]
        answer = client.post("/v1/report", files=parts)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="vestige-report.html"'
    assert answer.headers["content-security-policy"].startswith("sandbox")
    command = [
        sys.executable,
        "-c",
        "from vestige.apps.cli import main; main()",
        "scan",
        "-q",
        "--html",
        "out",
    ]
    subprocess.run([*command, "--model", "model", "a.png", "b.jpg"], cwd=tmp_path, check=False, timeout=120)
    written = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")

    def without_time(page: str) -> list[str]:
        return [line for line in page.splitlines() if "<time" not in line]

    assert without_time(answer.text) == without_time(written)
    assert "2 pictures examined, 1 judged" in answer.text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("photo.jpg", "photo.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\photo.jpg", "photo.jpg"),
        ("/", "picture-7"),
        ("..", "picture-7"),
        ("", "picture-7"),
        ("   ", "picture-7"),
        ("a\x00b\x1b[31m\nc.png", "ab[31mc.png"),
        ("gnp.\u202eexe", "gnp.exe"),
        ("\ud800.png", ".png"),
        ("Bücher 图片.png", "Bücher 图片.png"),
        ("x" * 5000, "x" * (LONGEST - 1) + "…"),
    ],
)
def test_names_are_labels(name: str, shown: str) -> None:
    assert label(name, 7) == shown


def test_names_of_uploads_open_no_files(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(picture(20))
    with serving(tmp_path) as client:
        parts = [(named(f"{tmp_path}/secret.png"), picture(230)), ('form-data; name="files"', picture(230))]
        answer = client.post("/v1/scan", **form(*parts))
    reports = answer.json()["reports"]
    assert [report["path"] for report in reports] == ["secret.png", "picture-2"]
    assert {report["verdict"] for report in reports} == {"likely_generated"}


def test_the_content_type_does_not_decide_what_a_picture_is(tmp_path: Path) -> None:
    with serving(tmp_path) as client:
        for kind in ("image/jpeg", "image/x-unheard-of", "application/octet-stream", "IMAGE/PNG; a=b"):
            answer = client.post("/v1/scan", content=picture(), headers={"Content-Type": kind})
            assert answer.json()["reports"][0]["facts"]["format"] == "PNG"
        for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded", ""):
            answer = client.post("/v1/scan", content=picture(), headers={"Content-Type": kind})
            assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    "query", ["map=1", "map=True", "maps=true", "model=x&model2=y", "url=http://a/", "map="]
)
def test_parameters_are_not_guessed(tmp_path: Path, query: str) -> None:
    with serving(tmp_path) as client:
        answer = client.post(f"/v1/scan?{query}", content=picture(), headers=PNG)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad_query")
