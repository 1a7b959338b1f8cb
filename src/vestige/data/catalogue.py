"""The catalogue of benchmarks: one YAML file each in `benchmarks/`, readable by people and by machine."""

from functools import lru_cache
from importlib import resources
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vestige.errors import ConfigError


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Folders(_Model):
    """Pictures in label folders: `[TOP/][SPLIT/]GROUP/[WRAPPER/][SPLIT/][CLASS/]LABEL/`.

    Attributes:
        top: folders that unpacking leaves above everything else; dropped.
        split: where train, val or test may stand: above the group, just above the label folder, either, or
            nowhere.
        split_needed: recognised only if every picture has a split.
        wrapper: regular expression (whole name, case ignored) of folders dropped beneath a group.
        classes: whether a group may hold one pair of label folders per class.
        bare: whether the label folders may stand without a group folder; the group is then the set's name.
        named: recognised only if one of these names is part of the path; for sets whose layout is shared.
    """

    kind: Literal["folders"]
    top: list[str] = Field(default_factory=list)
    split: Literal["above", "below", "either", "none"] = "above"
    split_needed: bool = False
    wrapper: str = ""
    classes: bool = False
    bare: bool = False
    named: list[str] = Field(default_factory=list)


class Generators(_Model):
    """A folder of generated pictures per generator, no label folders; real pictures come from elsewhere.

    Attributes:
        top: as for `Folders`.
        same_name: whether pictures of the same file name derive from one original, whatever the folder.
    """

    kind: Literal["generators"]
    top: list[str] = Field(default_factory=list)
    same_name: bool = False


class Rows(_Model):
    """Pictures inside Parquet files; attributes are names of columns, "" where there is none.

    Attributes:
        columns: columns by which the set is recognised.
        image: bytes, or a struct with a field `bytes`.
        label: numbers or words.
        generator: generator of a generated row.
        real: data set that a real row comes from, and with which a generated row is paired.
        key: name of the picture inside the set; with no column `generator` it tells the generator, or else
            the name of the Parquet file does (`GENERATOR-00000-of-00010.parquet`).
        split: train or test; with no such column, a folder whose name ends in one of them tells.
    """

    kind: Literal["rows"]
    columns: list[str]
    image: str
    label: str
    generator: str = ""
    real: str = ""
    key: str = ""
    split: str = ""


class Table(_Model):
    """A CSV or Parquet table with one picture per row; columns are found by their usual names."""

    kind: Literal["table"]


class Paper(_Model):
    """Where the set was published; `arxiv` is the number alone."""

    title: str
    year: int
    venue: str = ""
    arxiv: str = ""


class Access(_Model):
    """How the set is had: address and conditions, in words."""

    url: str = ""
    conditions: str


class Benchmark(_Model):
    """One benchmark.

    Attributes:
        words: label words as they stand in the set (lower case) -> 0 real, 1 generated. Empty: all words
            that `vestige.data.layouts.words` knows.
        groups: folder names of the groups as published; empty if any name will do.
        groups_note: the rule for groups in words, where a list says too little.
        aliases: folder name -> group, for groups that are distributed under several folder names.
        class_folders: group -> folders that are classes of it, although they stand where groups stand.
        pairing: generated group -> folders whose real pictures it is officially compared with. Groups named
            here hold one class only. Empty: each group is compared with its own real pictures.
        licence: as stated by the publisher.
        counts: group -> pictures of both classes as published, rounded where the publication rounds.
        counts_split: the split that `counts` speak of.
        notes: traps, and what is known to go wrong.
        published_results: name of a file with published results; "" if there is none.
        general: a layout and not a set; recognised only where no set is.
    """

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    title: str
    paper: Paper | None = None
    layout: Annotated[Folders | Generators | Rows | Table, Field(discriminator="kind")]
    words: dict[str, Literal[0, 1]] = Field(default_factory=dict)
    groups: list[str] = Field(default_factory=list)
    groups_note: str = ""
    aliases: dict[str, str] = Field(default_factory=dict)
    class_folders: dict[str, list[str]] = Field(default_factory=dict)
    pairing: dict[str, list[str]] = Field(default_factory=dict)
    licence: str
    access: Access
    counts: dict[str, int] = Field(default_factory=dict)
    counts_split: Literal["train", "val", "test"] = "test"
    notes: list[str] = Field(default_factory=list)
    published_results: str = ""
    general: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> "Benchmark":
        known = {*self.groups, *self.aliases.values()}
        for what, names in (
            ("pairing", {*self.pairing, *(real for reals in self.pairing.values() for real in reals)}),
            ("counts", set(self.counts)),
            ("class_folders", set(self.class_folders)),
        ):
            if self.groups and not names <= known:
                raise ValueError(f"{what} names groups that are not listed: {sorted(names - known)}")
        if self.words and set(self.words.values()) != {0, 1}:
            raise ValueError("words must name both classes")
        if any(word != word.lower() for word in self.words):
            raise ValueError("words must be lower case")
        return self


def parse(text: str, where: str) -> Benchmark:
    """Read one description.

    Args:
        text: YAML.
        where: the file's name, for messages.

    Raises:
        ConfigError: not YAML or not after the schema; one message lists all that is wrong.
    """
    try:
        values: Any = yaml.safe_load(text)
        return Benchmark.model_validate(values)
    except yaml.YAMLError as error:
        raise ConfigError(f"{where}: cannot be read as YAML ({error})") from error
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        raise ConfigError(f"{where}: {'; '.join(wrong)}") from error


@lru_cache(maxsize=1)
def benchmarks() -> tuple[Benchmark, ...]:
    """All benchmarks: sets in the order of their names, then the general layouts.

    Raises:
        ConfigError: a description does not follow the schema, or is not named like its file.
    """
    found = []
    for file in resources.files("vestige.data").joinpath("benchmarks").iterdir():
        if not file.name.endswith(".yaml"):
            continue
        benchmark = parse(file.read_text(encoding="utf-8"), file.name)
        if f"{benchmark.name}.yaml" != file.name:
            raise ConfigError(f"{file.name}: describes {benchmark.name!r}; file and name must be the same")
        found.append(benchmark)
    return tuple(sorted(found, key=lambda one: (one.general, one.name)))


def get(name: str) -> Benchmark:
    """One benchmark by its name.

    Raises:
        ConfigError: no such benchmark; the message names all.
    """
    for benchmark in benchmarks():
        if benchmark.name == name:
            return benchmark
    names = ", ".join(benchmark.name for benchmark in benchmarks())
    raise ConfigError(f"no benchmark is called {name!r}; there are {names}")
