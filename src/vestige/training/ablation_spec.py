"""The specification of an ablation: rows of one recipe with one thing changed each, read from YAML."""

from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vestige.errors import ConfigError
from vestige.training.recipe import Recipe, parse_recipe

# Rows and test sets name files.
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
Name = Annotated[str, Field(pattern=f"^{NAME}$")]
Seeds = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
Values = dict[str, Any]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RowSection(_Section):
    """A row.

    Attributes:
        seeds: in place of the specification's.
        set: what it changes in the recipe, merged in depth: mappings key by key, all else replaced.
        stages_as: stage -> name under which the detector finds it among its starting weights, where that is
            another: a denoiser is an extractor that was trained on another target.
        fraction: of the training pictures of each class that a fit sees, at least one, drawn by its seed;
            stages before the detector see all pictures. None: all.
    """

    seeds: Seeds | None = None
    set: Values = Field(default_factory=dict)
    stages_as: dict[Name, Name] = Field(default_factory=dict)
    fraction: float | None = Field(None, gt=0, le=1)


class CurveSection(_Section):
    """A figure of the page: AUROC of rows along an axis.

    Attributes:
        axis: what x is, as text for the axis.
        log: whether the axis is logarithmic; x must then be above 0.
        lines: name of a line -> x -> row.
    """

    axis: str
    log: bool = False
    lines: Annotated[
        dict[str, Annotated[dict[Annotated[float, Field(allow_inf_nan=False)], str], Field(min_length=1)]],
        Field(min_length=1),
    ]

    @model_validator(mode="after")
    def _has_logarithms(self) -> "CurveSection":
        low = [x for line in self.lines.values() for x in line if x <= 0]
        if self.log and low:
            raise ValueError(f"x must be above 0 on a logarithmic axis, got {low[0]:g}")
        return self


class Spec(_Section):
    """One YAML file.

    Attributes:
        title: of the page of tables.
        recipe: the file that all rows begin with, relative to the specification.
        seeds: of the fit: starting weights of what is trained, and batches.
        baseline: the row that differences are taken to.
        views: native patches of each test picture at most, as the field kit takes them.
        set: what all rows change in the recipe, before their own `set`.
        rows: name -> row, in the order of the tables.
        questions: title of a table -> its rows, each beside the baseline; none: one table for all rows.
        precision: in which the frozen features of test pictures are computed; packages compute in float32.
        curves: title of a figure -> rows along an axis.
        scatter: title of a figure -> two rows, whose logits are its axes.
    """

    title: str = ""
    recipe: str
    seeds: Seeds = [0]
    baseline: str
    views: int = Field(4, ge=1)
    set: Values = Field(default_factory=dict)
    rows: dict[Name, RowSection] = Field(min_length=1)
    questions: dict[str, list[str]] = Field(default_factory=dict)
    precision: Literal["float32", "bfloat16"] = "float32"
    curves: dict[str, CurveSection] = Field(default_factory=dict)
    scatter: dict[str, tuple[str, str]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _rows_are_known(self) -> "Spec":
        named = {"baseline": [self.baseline]}
        named |= {f"questions.{title}": rows for title, rows in self.questions.items()}
        for title, curve in self.curves.items():
            lines = curve.lines.items()
            named |= {f"curves.{title}.lines.{name}": list(line.values()) for name, line in lines}
        named |= {f"scatter.{title}": list(rows) for title, rows in self.scatter.items()}
        for where, rows in named.items():
            for row in rows:
                if row not in self.rows:
                    raise ValueError(f"{where} names the row {row!r}, which is not among the rows")
        for title, (across, up) in self.scatter.items():
            if across == up:
                raise ValueError(f"scatter.{title} names the row {up!r} twice; it takes two rows")
        seeds = {"": self.seeds, **{f"row {name}: ": row.seeds or [] for name, row in self.rows.items()}}
        for where, some in seeds.items():
            if len(set(some)) < len(some):
                raise ValueError(f"{where}a seed is listed twice")
        return self

    def seeds_of(self, row: str) -> list[int]:
        """The seeds that a row is fitted with."""
        return list(self.rows[row].seeds or self.seeds)


def read_spec(path: Path) -> Spec:
    """Read and validate a specification; its recipes are looked at by `row_recipes`.

    Raises:
        ConfigError: unreadable or not after the schema; one message lists all that is wrong.
    """
    values = _yaml(path)
    try:
        return Spec.model_validate(values)
    except ValidationError as error:
        places = (("".join(f"{part}." for part in item["loc"])[:-1], item["msg"]) for item in error.errors())
        wrong = (f"{place}: {what}" if place else what for place, what in places)
        raise ConfigError(f"{path}: {'; '.join(wrong)}") from error


def row_recipes(path: Path, spec: Spec, split: str | list[str] | None = None) -> dict[str, Values]:
    """The values of each row's recipe.

    Args:
        path: of the specification.
        split: of the training manifest, one or several, in place of the recipe's.

    Raises:
        ConfigError: the recipe cannot be read, or rows make no valid recipe; the message names them.
    """
    base_path = path.parent / spec.recipe
    base = _yaml(base_path)
    found, wrong = {}, []
    for name, row in spec.rows.items():
        values = merged(merged(base, spec.set), row.set)
        if split is not None:
            values = merged(values, {"data": {"split": split}})
        try:
            for seed in spec.seeds_of(name):
                parse_recipe(seeded(values, seed), f"row {name}")
        except ConfigError as error:
            wrong.append(str(error))
        found[name] = values
    if wrong:
        raise ConfigError(f"{path}: {'; '.join(wrong)}")
    return found


def recipe_of(values: Values, seed: int) -> Recipe:
    """A row's recipe with the seed of a fit.

    Raises:
        ConfigError: not a recipe.
    """
    return parse_recipe(seeded(values, seed), "the row's recipe")


def seeded(values: Values, seed: int) -> Values:
    """A recipe's values with another seed of the fit."""
    return merged(values, {"fit": {"seed": seed}})


def merged(values: Values, changes: Values) -> Values:
    """Values with changes: mappings are merged key by key, all else (lists, null) is replaced."""
    found = deepcopy(values)
    for key, change in changes.items():
        known = found.get(key)
        both = isinstance(known, dict) and isinstance(change, dict)
        found[key] = merged(known, change) if both else deepcopy(change)  # type: ignore[arg-type]
    return found


def flattened(changes: Values, prefix: str = "") -> Values:
    """Changes by dotted key: {"a": {"b": 1}} -> {"a.b": 1}."""
    found: Values = {}
    for key, value in changes.items():
        if isinstance(value, dict) and value:
            found |= flattened(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _yaml(path: Path) -> Values:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML ({error})") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: a mapping is expected")
    return values
