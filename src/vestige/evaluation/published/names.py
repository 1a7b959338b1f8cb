"""Which spelling means which generator, metric or benchmark."""

from collections.abc import Mapping
from functools import cache
from importlib import resources

import yaml
from pydantic import TypeAdapter

from vestige.errors import DataError
from vestige.evaluation.published.schema import Benchmark, Names


def package_text(name: str) -> str:
    """Text of a data file of this package."""
    return resources.files("vestige.evaluation.published").joinpath(name).read_text(encoding="utf-8")


def spelling(name: str) -> str:
    """What is left of a name when case, spaces and punctuation are dropped."""
    return "".join(letter for letter in name.casefold() if letter.isalnum()) or name


def generator_name(name: str) -> str | None:
    """Our name of a generator, as in `_names.yaml`; None if the name is not there."""
    return _index("generators").get(spelling(name))


def metric_name(name: str) -> str:
    """Our name of a metric.

    Raises:
        DataError: not in `_names.yaml`.
    """
    found = _index("metrics").get(spelling(name))
    if found is None:
        known = ", ".join(_names().metrics)
        raise DataError(f"no metric is called {name!r}; published figures know {known}")
    return found


@cache
def benchmarks() -> Mapping[str, Benchmark]:
    """Benchmarks of `_benchmarks.yaml` by name."""
    read = yaml.safe_load(package_text("_benchmarks.yaml"))
    return TypeAdapter(dict[str, Benchmark]).validate_python(read)


def known_benchmark(name: str) -> Benchmark:
    """The benchmark of that name.

    Raises:
        DataError: not in `_benchmarks.yaml`.
    """
    if name not in benchmarks():
        known = ", ".join(sorted(benchmarks()))
        raise DataError(f"no benchmark is called {name!r}; published figures know {known}")
    return benchmarks()[name]


@cache
def _names() -> Names:
    return Names.model_validate(yaml.safe_load(package_text("_names.yaml")))


@cache
def _index(kind: str) -> Mapping[str, str]:
    table: dict[str, list[str]] = getattr(_names(), kind)
    index: dict[str, str] = {}
    for name, others in table.items():
        for key in map(spelling, (name, *others)):
            if index.setdefault(key, name) != name:
                raise DataError(f"_names.yaml: {key!r} is listed under {index[key]} and {name}; keep one")
    return index
