"""`vestige data manipulate`: a labelled set of manipulated pictures, and a page to look at some of them.

OUT/settings.json   what the set was made of and by which options
OUT/KIND/, OUT/originals/, OUT/manifest.csv   as `vestige.data.labelled` says
OUT/index.html      some pictures of each kind
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import TypeAdapter, ValidationError

import vestige
from vestige.apps import manipulate_page
from vestige.apps.manifests import manifest_and_split
from vestige.data.labelled import MANIFEST, SIDE, Labelled, write_set
from vestige.data.manifest import Row, read_manifest, sha256_of
from vestige.data.manipulations import Inpaint, ManipulationSet
from vestige.errors import ConfigError
from vestige.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console

SETTINGS = "settings.json"
FIXED = ("manifest_sha256", "split", "seed", "side")  # settings that a folder keeps
# Every kind that needs no weights.
WITHOUT_WEIGHTS = ("inpainting-classical", "inpainting-patch", "copy-move", "splicing", "perturbation")


@dataclass(frozen=True)
class ManipulateOptions:
    """The options of the command.

    Attributes:
        manifest: MANIFEST or MANIFEST:SPLIT.
        out: folder; an interrupted run continues there.
        options: YAML with `kinds`, and if wanted `per_group` and `inpainters`; None: every kind that needs
            no weights.
        weights: folder with the inpainters' weights.
        seed: of all that is drawn.
        originals: whether the untouched hosts are copied and listed, too.
        per_group: pictures of each group of each class for every kind; None: as the options say.
    """

    manifest: str
    out: Path
    options: Path | None = None
    weights: Path | None = None
    seed: int = 0
    originals: bool = False
    per_group: int | None = None


def run(options: ManipulateOptions, console: "Console", progress: Progress | None = None) -> None:
    """Make what is not there yet, write manifest and page, print how many of what there are.

    Raises:
        ConfigError: options that make no sense, inpainters that cannot be had, a folder of something else.
        DataError: manifest or pictures cannot be used, or the folder holds pictures made otherwise.
    """
    from vestige.lock import only_one

    path, split = manifest_and_split(options.manifest)
    if not path:
        raise ConfigError(f"{options.manifest}: MANIFEST or MANIFEST:SPLIT is wanted")
    rows = read_manifest(path, split)
    kinds, inpainters = _kinds_and_inpainters(options)
    with only_one(options.out):
        settings = _settings(options, Path(path), split, kinds, inpainters)
        _claim(options.out, settings)
        networks = _networks(inpainters, options.weights)
        progress = progress or Progress()
        found = write_set(
            rows, kinds, networks, options.out, options.seed, progress, originals=options.originals
        )
        _write_settings(options.out, settings)  # not before: other options may have been refused
        _print_counts(found, rows, console)
        page = manipulate_page.write(options.out, found, rows, options.seed, Path(path).name, progress)
    print(options.out / MANIFEST)
    print(page)


def _kinds_and_inpainters(options: ManipulateOptions) -> tuple[ManipulationSet, list[Any]]:
    """Checked options of manipulations, and those of inpainters; none of these where no kind needs any."""
    if options.options is None:
        if options.weights is not None:
            raise ConfigError("--weights goes with --options, which lists the inpainters that use them")
        values: Any = {"kinds": [{"kind": kind} for kind in WITHOUT_WEIGHTS]}
    else:
        try:
            values = yaml.safe_load(options.options.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"{options.options}: cannot be read as YAML ({error})") from error
        if not isinstance(values, dict):
            raise ConfigError(f"{options.options}: a mapping is wanted, with the list `kinds`")
    inpainters = values.pop("inpainters", None)
    if options.per_group is not None:
        values["per_group"] = options.per_group
    checked: ManipulationSet = _checked(TypeAdapter(ManipulationSet), values, options.options, ())
    if inpainters is None:
        if options.weights is not None and not any(kind.needs_networks for kind in checked.kinds):
            raise ConfigError(f"--weights: nothing in {options.options} uses any; leave the option out")
        return checked, []
    if not isinstance(inpainters, list):
        raise ConfigError(f"{options.options}: inpainters: a list is wanted")
    if not any(kind.needs_networks for kind in checked.kinds):
        # Nor are they looked at: the schema of inpainters loads torch.
        raise ConfigError(
            f"{options.options}: inpainters: none of the kinds uses learned networks; leave out inpainters, "
            "or add inpainting-learned or mixing to kinds"
        )
    from vestige.methods.inpainters import InpainterOptions

    schema = TypeAdapter(list[InpainterOptions])
    return checked, _checked(schema, inpainters, options.options, ("inpainters",))


def _networks(inpainters: Sequence[Any], weights: Path | None) -> dict[str, Inpaint]:
    """The inpainters, loaded."""
    if not inpainters:
        return {}
    from vestige.methods.inpainters import build_inpainters

    return build_inpainters(inpainters, weights)


def _checked(schema: TypeAdapter[Any], values: Any, file: Path | None, section: tuple[str, ...]) -> Any:
    try:
        return schema.validate_python(values)
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, (*section, *item['loc'])))}: {item['msg']}" for item in error.errors())
        raise ConfigError(f"{file or 'options'}: {'; '.join(wrong)}") from error


def _settings(
    options: ManipulateOptions,
    manifest: Path,
    split: str | None,
    kinds: ManipulationSet,
    inpainters: Sequence[Any],
) -> dict[str, Any]:
    return {
        "manifest": manifest.name,
        "manifest_sha256": sha256_of(manifest),
        "split": split,
        "seed": options.seed,
        "side": SIDE,
        "originals": options.originals,
        "options": kinds.model_dump(mode="json"),
        "inpainters": [option.model_dump(mode="json") for option in inpainters],
        "vestige": vestige.__version__,
    }


def _claim(out: Path, settings: dict[str, Any]) -> None:
    """Make the folder this set's own, or make sure that it is; kinds may come and go.

    Raises:
        ConfigError: it holds a set of something else, or no set.
    """
    path = out / SETTINGS
    if path.exists():
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            other = [name for name in FIXED if known.get(name) != settings[name]]
        except (OSError, ValueError, AttributeError) as error:
            raise ConfigError(f"{path}: cannot be read ({error}); choose another folder") from error
        if other:
            raise ConfigError(
                f"{out}: this set was begun with another {', '.join(other)}; choose another folder"
            )
    elif any(found.name != ".lock" for found in out.glob("*")):
        raise ConfigError(f"{out}: not empty and without {SETTINGS}; choose another folder")
    else:
        _write_settings(out, settings)


def _write_settings(out: Path, settings: dict[str, Any]) -> None:
    path = out / SETTINGS
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def _print_counts(found: Sequence[Labelled], rows: Sequence[Row], console: "Console") -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("kind", "pictures", "of real", "of generated", "label 0", "label 1"):
        table.add_column(column, justify="left" if column == "kind" else "right", overflow="fold")
    kinds = list(dict.fromkeys(one.kind for one in found))
    for kind in [*kinds, "in all"]:
        some = [one for one in found if kind in (one.kind, "in all")]
        hosts, labels = [rows[one.host].label for one in some], [one.label for one in some]
        counts = (len(some), hosts.count(0), hosts.count(1), labels.count(0), labels.count(1))
        table.add_row(kind, *map(str, counts))
    console.print(table)
