"""Which outputs there are, and how one is chosen by name or by a file's ending."""

import os
from pathlib import Path
from typing import Literal, cast, get_args

from vestige.errors import ConfigError
from vestige.reports.output import Target, is_stream
from vestige.reports.sinks import BaseSink, CsvSink, JsonlSink, JsonSink

Format = Literal["jsonl", "json", "csv", "parquet", "html"]
FORMATS: tuple[Format, ...] = get_args(Format)

_ENDINGS: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    "": "html",  # a folder
}


def format_of(path: str | os.PathLike[str]) -> Format:
    """The format that a path's ending stands for; no ending means a folder for an HTML page.

    Raises:
        ConfigError: if the ending stands for none.
    """
    ending = Path(path).suffix.lower()
    if ending not in _ENDINGS:
        known = ", ".join(known for known in _ENDINGS if known)
        raise ConfigError(
            f"{os.fspath(path)}: no output format ends in {ending!r}; use {known}, or a folder for HTML"
        )
    return _ENDINGS[ending]


def open_sink(
    target: Target, format: Format | None = None, *, resume: bool = False, model: str | None = None
) -> BaseSink:
    """Open the sink of a format.

    Args:
        target: a path (a folder for HTML), or a text stream.
        format: one of `FORMATS`; by default what the path's ending stands for.
        resume: go on with what is there; without it, it is overwritten.
        model: name of the model of this run; if given, results of another one are refused at once.

    Raises:
        ConfigError: for an unknown format, one that the target cannot take, or files that cannot be opened.
    """
    if format is None:
        if is_stream(target):
            raise ConfigError(f"a stream needs a format: one of {', '.join(FORMATS)}")
        format = format_of(cast("str | os.PathLike[str]", target))
    if format == "html":
        from vestige.reports.html import HtmlSink

        if is_stream(target):
            raise ConfigError("an HTML report cannot be written to a stream: name a folder")
        return HtmlSink(cast("str | os.PathLike[str]", target), resume=resume, model=model)
    if format == "parquet":
        from vestige.reports.parquet import ParquetSink

        return ParquetSink(target, resume=resume, model=model)
    sinks: dict[str, type[JsonlSink | JsonSink | CsvSink]] = {
        "jsonl": JsonlSink,
        "json": JsonSink,
        "csv": CsvSink,
    }
    if format not in sinks:
        raise ConfigError(f"unknown output format {format!r}; use one of {', '.join(FORMATS)}")
    return sinks[format](target, resume=resume, model=model)
