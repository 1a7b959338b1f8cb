"""`ImageReport` to terminal, JSON, JSON lines, CSV, Parquet and HTML.

Every output is a `Sink`: it takes one report after another, keeps each at once, and can be resumed.
"""

from vestige.reports.formats import FORMATS, Format, format_of, open_sink
from vestige.reports.records import Record, record_of, report_of
from vestige.reports.sinks import BaseSink, CsvSink, JsonlSink, JsonSink, Sink

__all__ = [
    "FORMATS",
    "BaseSink",
    "CsvSink",
    "Format",
    "JsonSink",
    "JsonlSink",
    "Record",
    "Sink",
    "format_of",
    "open_sink",
    "record_of",
    "report_of",
]
