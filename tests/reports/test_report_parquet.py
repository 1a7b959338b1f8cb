import builtins

import pytest
from report_samples import HOSTILE, hostile_report, make_error, make_report

from vestige.errors import ConfigError
from vestige.reports import open_sink
from vestige.results import ROW_FIELDS


def test_without_pyarrow_says_how_to_get_it(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"Parquet output needs pyarrow: pip install 'vestige\[bulk\]'"):
        open_sink(tmp_path / "out.parquet")
    assert not list(tmp_path.iterdir())


class TestWithPyarrow:
    @pytest.fixture(autouse=True)
    def arrow(self):
        self.pa = pytest.importorskip("pyarrow")
        self.pq = pytest.importorskip("pyarrow.parquet")

    def test_columns_are_typed_even_if_empty(self, tmp_path):
        path = tmp_path / "out.parquet"
        open_sink(path).close()
        schema = self.pq.read_schema(path)
        assert tuple(schema.names) == ROW_FIELDS
        assert schema.field("probability").type == self.pa.float64()
        assert schema.field("deviation").type == self.pa.float64()
        assert schema.field("generated_share").type == self.pa.float64()
        assert schema.field("width").type == self.pa.int32()
        assert schema.field("error").type == self.pa.string()

    def test_reads_back(self, tmp_path):
        path = tmp_path / "out.parquet"
        nan = make_report("n.jpg", evidence=make_report().evidence.model_copy(update={"logit": float("nan")}))
        reports = [make_report("a.jpg"), make_error("b.jpg"), hostile_report()]
        with open_sink(path) as sink:
            for report in (*reports, nan):
                sink.write(report)
        rows = self.pq.read_table(path).to_pylist()
        assert rows[:3] == [report.row() for report in reports]
        assert rows[3]["logit"] is None
        assert rows[2]["model"] == HOSTILE

    def test_many_rows_go_in_batches(self, tmp_path, monkeypatch):
        monkeypatch.setattr("vestige.reports.parquet._BATCH", 7)
        path = tmp_path / "out.parquet"
        with open_sink(path) as sink:
            for number in range(30):
                sink.write(make_report(f"{number}.jpg"))
        assert self.pq.read_metadata(path).num_rows == 30

    def test_the_old_table_stays_until_the_new_one_is_whole(self, tmp_path):
        path = tmp_path / "out.parquet"
        with open_sink(path) as sink:
            sink.write(make_report("old.jpg"))
        sink = open_sink(path)
        sink.write(make_report("new.jpg"))
        assert self.pq.read_table(path)["path"].to_pylist() == ["old.jpg"]
        # killed here: the journal of the new run counts, not the old table
        with open_sink(path, resume=True) as sink:
            assert sink.done == {"new.jpg"}
        assert self.pq.read_table(path)["path"].to_pylist() == ["new.jpg"]

    def test_a_table_that_is_not_ours(self, tmp_path):
        path = tmp_path / "out.parquet"
        self.pq.write_table(self.pa.table({"x": [1]}), path)
        with pytest.raises(ConfigError, match="columns"):
            open_sink(path, resume=True)
        path.write_bytes(b"something else")
        with pytest.raises(ConfigError, match="not a Parquet file"):
            open_sink(path, resume=True)
        assert [file.name for file in tmp_path.iterdir()] == ["out.parquet"]
