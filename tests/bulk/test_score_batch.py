"""One function: bytes in, table out; nothing about a picture is ever raised."""

import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from bulk_places import FailingPlace

from vestige import Detector
from vestige.bulk import ScoreOptions, score_batch
from vestige.bulk.chunks import FilePlace, HeldPlace, Item, NoPlace, chunks_of
from vestige.bulk.scorer import detector_of, score_items
from vestige.errors import ConfigError, ImageError, ModelPackageError
from vestige.images import Limits
from vestige.results import ROW_FIELDS


@pytest.fixture
def options(package: Path) -> ScoreOptions:
    return ScoreOptions(model=str(package))


def test_rows_are_those_of_the_detector(
    package: Path, options: ScoreOptions, bytes_of_pictures: dict[str, bytes]
) -> None:
    table = score_batch(list(bytes_of_pictures.values()), list(bytes_of_pictures), options)
    assert tuple(table.column_names) == ROW_FIELDS
    detector = Detector.load(package)
    rows = {row["path"]: row for row in table.to_pylist()}
    assert list(rows) == list(bytes_of_pictures)
    for name, data in bytes_of_pictures.items():
        if name in ("torn.png", "text.jpg"):
            continue
        alone = detector.scan(data).row()
        assert rows[name]["verdict"] == alone["verdict"]
        assert rows[name]["sha256"] == alone["sha256"]
        assert rows[name]["logit"] == pytest.approx(alone["logit"], abs=1e-5)
        assert rows[name]["error_code"] is None
    assert rows["torn.png"]["error_code"] == "truncated"
    assert rows["text.jpg"]["error_code"] == "unsupported"
    assert rows["text.jpg"]["verdict"] is None
    assert rows["text.jpg"]["error"]


def test_a_picture_over_the_limits_is_a_row(package: Path, bytes_of_pictures: dict[str, bytes]) -> None:
    name, data = next(iter(bytes_of_pictures.items()))
    strict = ScoreOptions(model=str(package), limits=Limits(max_bytes=len(data) - 1))
    assert score_batch([data], [name], strict).to_pylist()[0]["error_code"] == "too_large"


def test_no_pictures_give_a_table_without_rows(options: ScoreOptions) -> None:
    table = score_batch([], options=options)
    assert table.num_rows == 0
    assert tuple(table.column_names) == ROW_FIELDS


def test_bugs_of_decoder_and_network_are_rows(
    options: ScoreOptions, bytes_of_pictures: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = detector_of(options)
    prepare, run = detector.prepare, detector._session.run
    victim = list(bytes_of_pictures)[1]

    def failing(source: bytes) -> object:
        if source == bytes_of_pictures[victim]:
            raise RecursionError("too deep")
        return prepare(source)

    def refusing(views: object) -> object:
        if len(views) > 8:  # type: ignore[arg-type]
            raise MemoryError("too many at once")
        return run(views)  # type: ignore[arg-type]

    before = score_batch(list(bytes_of_pictures.values()), list(bytes_of_pictures), options).to_pylist()
    monkeypatch.setattr(detector, "prepare", failing)
    monkeypatch.setattr(detector._session, "run", refusing)
    after = score_batch(list(bytes_of_pictures.values()), list(bytes_of_pictures), options).to_pylist()
    for one, other in zip(before, after, strict=True):
        if one["path"] == victim:
            assert other["error_code"] == "internal"
            assert "RecursionError" in other["error"]
        else:
            assert other["verdict"] == one["verdict"]
            assert other["error_code"] == one["error_code"]


def test_places_that_cannot_be_read_are_rows(
    options: ScoreOptions, tmp_path: Path, bytes_of_pictures: dict[str, bytes]
) -> None:
    good = next(iter(bytes_of_pictures.values()))
    items = [
        Item("there", HeldPlace(good)),
        Item("gone", FilePlace(str(tmp_path / "gone.png"))),
        Item("empty cell", NoPlace(ImageError("empty", "The cell is empty."))),
        Item("strange", FailingPlace()),
    ]
    rows = score_items(items, options).to_pylist()
    assert [row["error_code"] for row in rows] == [None, "not_found", "empty", "internal"]
    assert [row["path"] for row in rows] == ["there", "gone", "empty cell", "strange"]
    assert "the disk sings" in rows[3]["error"]


def test_it_travels_and_loads_the_model_once(
    options: ScoreOptions, bytes_of_pictures: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []
    load = Detector.load.__func__  # type: ignore[attr-defined]
    monkeypatch.setattr(
        Detector, "load", classmethod(lambda cls, *a, **k: loads.append(a) or load(cls, *a, **k))
    )
    detector_of.cache_clear()
    travelled = pickle.loads(pickle.dumps(partial(score_batch, options=options)))
    one = travelled(list(bytes_of_pictures.values()))
    two = travelled(list(bytes_of_pictures.values()))
    assert one.equals(two)
    assert len(loads) == 1


def test_what_is_wrong_with_the_call_is_raised(package: Path) -> None:
    with pytest.raises(ModelPackageError, match="no-such-model"):
        score_batch([b""], options=ScoreOptions(model="no-such-model"))
    with pytest.raises(ConfigError):
        score_batch([b""], options=ScoreOptions(model=str(package), fpr=0.5))
    with pytest.raises(ValueError, match="1 pictures and 2 names"):
        score_batch([b""], ["a", "b"], ScoreOptions(model=str(package)))


def test_chunks_are_all_items_in_order() -> None:
    items = [Item(str(number), HeldPlace(b"")) for number in range(71)]
    chunks = list(chunks_of(items[7:], 7, 32))
    assert [(chunk.first, chunk.end) for chunk in chunks] == [(7, 39), (39, 71)]
    assert [item for chunk in chunks for item in chunk.items] == items[7:]


def test_importing_bulk_loads_no_library() -> None:
    script = "import sys, vestige.bulk; print(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"numpy", "pyarrow", "onnxruntime", "ray"} & {
        name.split(".")[0] for name in done.stdout.split()
    }
