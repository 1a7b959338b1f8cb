"""The example for Spark in the documentation, run on what Spark would hand it, without Spark."""

import re
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest

from vestige.bulk import ScoreOptions, score_batch
from vestige.reports.parquet import table_schema

pa = pytest.importorskip("pyarrow")
PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
SPARK_TYPES = {"string": "string", "double": "double", "int32": "int"}


@pytest.fixture
def example(package: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the code blocks of the section on Spark define; they score with the package of these tests."""
    import vestige.bulk

    section = PAGE.read_text(encoding="utf-8").split("\n## Spark\n")[1]
    options = ScoreOptions(model=str(package))
    monkeypatch.setattr(vestige.bulk, "score_batch", partial(score_batch, options=options), raising=False)
    names: dict[str, Any] = {"spark": MagicMock()}
    for block in re.findall(r"^```python\n(.*?)^```", section, re.DOTALL | re.MULTILINE):
        exec(compile(block, str(PAGE), "exec"), names)
    return names


@pytest.fixture
def rows(pictures: Path) -> list[tuple[str, bytes]]:
    """Path and bytes, more than two times 32; some cannot be read."""
    files = sorted(path for path in pictures.rglob("*") if path.is_file())
    return [
        (f"{number}/{path.name}", path.read_bytes())
        for number, path in enumerate(files[number % len(files)] for number in range(70))
    ]


def check(found: list[dict[str, Any]], rows: list[tuple[str, bytes]], package: Path) -> None:
    """A row per picture in order, with the verdict that the picture has alone."""
    assert [row["path"] for row in found] == [path for path, _ in rows]
    options = ScoreOptions(model=str(package))
    for row, (path, data) in list(zip(found, rows, strict=True))[:10]:
        alone = score_batch([data], [path], options).to_pylist()[0]
        assert (row["verdict"], row["error_code"]) == (alone["verdict"], alone["error_code"])
    names = {Path(row["path"]).name: row for row in found}
    assert names["broken.jpg"]["error_code"] is not None
    assert names["bright.png"]["verdict"] == "likely_generated"
    assert names["dark.png"]["verdict"] == "likely_real"


def test_map_in_arrow_gives_a_row_per_picture(
    example: dict[str, Any], rows: list[tuple[str, bytes]], package: Path
) -> None:
    paths, data = zip(*rows, strict=True)
    table = pa.table({"path": list(paths), "content": pa.array(data, pa.binary())})
    made = list(example["score_arrow"](iter(table.to_batches(max_chunksize=50))))
    assert all(isinstance(batch, pa.RecordBatch) and batch.num_rows <= 32 for batch in made)
    check(pa.Table.from_batches(made).to_pylist(), rows, package)


def test_map_in_pandas_gives_a_row_per_picture(
    example: dict[str, Any], rows: list[tuple[str, bytes]], package: Path
) -> None:
    pd = pytest.importorskip("pandas")
    # Spark hands binary cells over as bytes or as bytearray, by version.
    frames = [
        pd.DataFrame({"path": [path for path, _ in part], "content": [kind(data) for _, data in part]})
        for part, kind in ((rows[:50], bytes), (rows[50:], bytearray))
    ]
    made = list(example["score"](iter(frames)))
    assert [len(frame) for frame in made] == [32, 18, 20]
    found = pd.concat(made).astype(object)
    check(found.where(found.notna(), None).to_dict("records"), rows, package)


def test_the_schema_for_spark_is_that_of_the_table(example: dict[str, Any]) -> None:
    declared = [tuple(column.split()) for column in example["SCHEMA"].split(",")]
    assert declared == [(field.name, SPARK_TYPES[str(field.type)]) for field in table_schema()]


def test_spark_is_given_the_function_and_the_schema(example: dict[str, Any]) -> None:
    reader = example["spark"].read.format
    reader.assert_called_once_with("binaryFile")
    frame = reader.return_value.load.return_value.select.return_value
    frame.mapInPandas.assert_called_once_with(example["score"], example["SCHEMA"])
