"""`vestige choose`: finished runs compared by their held-out logits. Needs the extra `train`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vestige.errors import ConfigError

if TYPE_CHECKING:
    from vestige.evaluation.choosing_record import RunRecord

TITLE = "Recipes compared by held-out pictures"


@dataclass(frozen=True)
class ChooseOptions:
    """The options of the command, as its help explains them; empty where they were not given."""

    runs: list[Path]
    out: Path
    title: str = ""
    beside: str = ""


def run(options: ChooseOptions) -> None:
    """Keep what runs held out, and make the page; without runs, make the page again.

    Raises:
        ConfigError: a run is not finished, two have the same name or cannot be compared, or there is no such
            run to be beside.
        DataError: held-out logits cannot be read.
    """
    from vestige.evaluation.choosing_page import write_page
    from vestige.lock import only_one

    with only_one(options.out):
        if options.runs:
            _keep(options)
        elif options.title or options.beside:
            _entitle(options)
        for path in write_page(options.out):
            print(path)


def _keep(options: ChooseOptions) -> None:
    """Copy runs into the folder, in place of those that it held; all of them are looked at before."""
    from vestige.evaluation.choosing import require_comparable
    from vestige.evaluation.choosing_record import (
        Record,
        read_held_out,
        read_record,
        run_file,
        save_record,
        write_held_out,
    )
    from vestige.training.run import HELD_OUT

    names = [folder.resolve().name for folder in options.runs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"RUN: {', '.join(twice)} is named twice; each needs a name of its own")
    _require_known(options.beside, names)
    folders = dict(zip(names, options.runs, strict=True))
    record = Record(
        title=options.title or TITLE,
        order=names,
        beside=options.beside or names[0],
        runs={name: _run_record(folder) for name, folder in folders.items()},
    )
    found = {name: read_held_out(folder / HELD_OUT) for name, folder in folders.items()}
    require_comparable(record, found)
    before = read_record(options.out)
    for name, pictures in found.items():
        write_held_out(run_file(options.out, name), pictures)
    save_record(options.out, record)
    for name in [] if before is None else before.order:
        if name not in names:
            run_file(options.out, name).unlink(missing_ok=True)


def _entitle(options: ChooseOptions) -> None:
    """Change what shapes the page alone."""
    from vestige.evaluation.choosing_record import RECORD, read_record, save_record

    record = read_record(options.out)
    if record is None:
        raise ConfigError(
            f"{options.out}: no runs were compared there, {RECORD} is missing; name runs to compare"
        )
    _require_known(options.beside, record.order)
    values = {"title": options.title or record.title, "beside": options.beside or record.beside}
    save_record(options.out, record.model_copy(update=values))


def _require_known(beside: str, names: list[str]) -> None:
    if beside and beside not in names:
        raise ConfigError(f"--beside {beside}: no such run, only {', '.join(names)}")


def _run_record(folder: Path) -> "RunRecord":
    """What is kept of a run besides its logits.

    Raises:
        ConfigError: it is not finished, or its recipe or record cannot be read.
    """
    from vestige.evaluation.choosing_record import RunRecord
    from vestige.training.recipe import read_recipe
    from vestige.training.run import HELD_OUT, RECIPE, RUN
    from vestige.training.variants import Variant

    missing = next((name for name in (RECIPE, RUN, HELD_OUT) if not (folder / name).exists()), None)
    if missing is not None:
        raise ConfigError(
            f"{folder}: no finished run, {missing} is missing; give the folder of a run of vestige train"
        )
    recipe = read_recipe(folder / RECIPE)
    _, model = recipe.parts()
    try:
        facts: dict[str, Any] = json.loads((folder / RUN).read_text(encoding="utf-8"))
        return RunRecord(
            summary=recipe.package.summary,
            manifest=facts["manifest"],
            manifest_sha256=facts["manifest_sha256"],
            seed=recipe.seed,
            recipe=recipe.model_dump(mode="json") | {"model": model.model_dump(mode="json")},
            variant=Variant.model_validate(facts.get("variant", {})).model_dump(
                mode="json", exclude={"name"}
            ),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{folder / RUN}: cannot be read as the record of a run ({error!r})") from error
