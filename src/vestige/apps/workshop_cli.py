"""The workshop's commands: they train, export and measure, and need the extra `train`."""

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from vestige.apps.manifests import manifest_and_split
from vestige.apps.needs import needs


def register(app: typer.Typer) -> None:
    """Put the commands behind those that `app` has already."""
    for command in (train, export, bench, spectra, ablate, deviations, overlays, choose):
        app.command()(command)


def train(
    recipe: Annotated[Path, typer.Argument(help="Recipe, a YAML file.")],
    data: Annotated[Path, typer.Option(help="Manifest of the pictures, a CSV file.")],
    run: Annotated[Path, typer.Option(help="Folder of the run; an interrupted run continues there.")],
    weights: Annotated[Path | None, typer.Option(help="Folder with starting weights.")] = None,
    stage: Annotated[
        str,
        typer.Option(
            help="Train this stage of the method only: dair or extractor for gensign, simulator for nirnet; "
            "detector is the last."
        ),
    ] = "detector",
    measure_on: Annotated[
        str,
        typer.Option(
            metavar="MANIFEST[:SPLIT]",
            help="With an earlier --stage: measure it on these pictures, too.",
        ),
    ] = "",
    cache: Annotated[
        Path | None, typer.Option(help="Folder of frozen features that several runs share.")
    ] = None,
) -> None:
    """Train a detector by a recipe, stage by stage if its method has stages (needs the extra `train`)."""
    from vestige.errors import ConfigError

    if stage == "detector" and measure_on:
        raise ConfigError(
            "--measure-on goes with a --stage before the detector; vestige bench measures detectors"
        )
    others = None
    if measure_on:
        place, split = manifest_and_split(measure_on)
        if not place:
            raise ConfigError(f"--measure-on {measure_on}: MANIFEST or MANIFEST:SPLIT is expected")
        others = (Path(place), split)
    _workshop()
    if stage != "detector":
        from vestige.training.stages import train_stage

        train_stage(recipe, stage, data, weights, run, measure_on=others, cache=cache)
        return
    from vestige.training.run import train as command

    command(recipe, data, weights, run, cache=cache)


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    data: Annotated[Path, typer.Option(help="The manifest that the run was trained on.")],
    out: Annotated[Path, typer.Option(help="Folder of the model package.")],
    stage: Annotated[
        str,
        typer.Option(
            help="detector, or extractor for the signatures of vestige inspect (of gensign and nirnet)."
        ),
    ] = "detector",
    recipe: Annotated[
        Path | None,
        typer.Option(help="With --stage extractor: the recipe it was trained by, if RUN has no recipe.yaml."),
    ] = None,
    tower: Annotated[
        str,
        typer.Option(
            metavar="OWNER/NAME",
            help="Leave the frozen weights out of the package; users fetch them from here at the Hugging "
            "Face hub. Needs --tower-file.",
        ),
    ] = "",
    tower_file: Annotated[
        Path | None,
        typer.Option(help="The file of these weights here; with --tower, the same as at the hub."),
    ] = None,
    tower_origin: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="Leave them out where no hub has this file: what it is and where it comes from, instead of "
            "--tower. Users give the file themselves.",
        ),
    ] = "",
    tower_revision: Annotated[
        str, typer.Option(help="Branch, tag or commit at the hub.", show_default="main")
    ] = "",
    tower_hub_file: Annotated[
        str, typer.Option(help="Its path at the hub.", show_default="model.safetensors")
    ] = "",
) -> None:
    """Write a finished run, or its extractor alone, as a model package (needs the extra `train`)."""
    from vestige.errors import ConfigError

    if stage not in ("detector", "extractor"):
        raise ConfigError(f"--stage takes detector or extractor, not {stage!r}")
    if stage == "detector" and recipe is not None:
        raise ConfigError("--recipe goes with --stage extractor only; a detector's run has its own")
    if tower and tower_origin:
        raise ConfigError("--tower-origin is for a file that is at no hub: give it or --tower, not both")
    if bool(tower or tower_origin) != bool(tower_file):
        raise ConfigError("--tower-file goes together with --tower, or with --tower-origin if no hub has it")
    if not tower and (tower_revision or tower_hub_file):
        raise ConfigError("--tower-revision and --tower-hub-file need --tower: they are of a file at the hub")
    if stage == "extractor" and tower_file is not None:
        raise ConfigError("--tower-file goes with the stage detector only; an extractor has no frozen tower")
    _workshop()
    if stage == "extractor":
        from vestige.training.export_extractor import export_extractor

        print(f"{out}: {export_extractor(run, data, out, recipe).title}")
        return
    from vestige.training.export import export as command
    from vestige.training.export_tower import TowerSource

    source = None
    if tower_file is not None:
        source = TowerSource(
            tower_file, tower or None, tower_revision or None, tower_hub_file or None, tower_origin or None
        )
    card = command(run, data, out, source)
    print(f"{out}: {card.title}")


def bench(
    out: Annotated[Path, typer.Option(help="Folder of the bench: scores, tables, report.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Manifest of pictures to be scored (vestige data index makes one); repeatable."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Model name or package folder, repeatable; the first is reported in detail.",
            show_default="first",
        ),
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(
            help="as-found, web, hard, crop, sweep, sweep-jpeg, ..., delivery.", show_default="as-found"
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only rows of this split.")] = None,
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="At most so many pictures of each class, spread over the groups."),
    ] = None,
    benchmark: Annotated[
        str,
        typer.Option(help="The published benchmark that the data are: prints published figures beside ours."),
    ] = "",
    workers: Annotated[int, typer.Option(min=1, help="Processes that score.")] = 1,
    title: Annotated[str, typer.Option(help="Title of the report.")] = "",
    thumbnails: Annotated[
        bool,
        typer.Option(
            "--thumbnails", help="Show the worst mistakes in the HTML report; it then holds copies."
        ),
    ] = False,
    audit: Annotated[bool, typer.Option(help="Audit each data set for what its files give away.")] = True,
    recipe: Annotated[
        list[Path] | None, typer.Option(help="Recipe to train, for --leave-one-out and --fraction.")
    ] = None,
    train: Annotated[Path | None, typer.Option(help="Manifest that recipes are trained on.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Folder with starting weights.")] = None,
    leave_one_out: Annotated[
        bool,
        typer.Option(
            "--leave-one-out", help="Train once without each generator and score it with that model."
        ),
    ] = False,
    fraction: Annotated[
        list[float] | None, typer.Option(help="Train on this share of the pictures, such as 0.1; repeatable.")
    ] = None,
    card: Annotated[
        Path | None, typer.Option(help="Write a model's figures into its package's card.")
    ] = None,
    twin: Annotated[
        Path | None,
        typer.Option(
            help="With --card: write them into the card of this package, too, which was trained by the same "
            "recipe on other splits."
        ),
    ] = None,
    redo: Annotated[bool, typer.Option("--redo", help="Score again what has scores already.")] = False,
) -> None:
    """Score models on labelled data under named protocols and write a report (needs the extra `train`).

    An interrupted bench goes on where it stopped. Without --data, the report in OUT is made again from the
    scores kept there.
    """
    _workshop()
    from vestige.apps import bench as command

    command.run(
        command.BenchOptions(
            out=out,
            data=data or [],
            models=model or [],
            protocols=protocol or ["as-found"],
            title=title,
            sample=sample,
            split=split,
            benchmark=benchmark,
            workers=workers,
            redo=redo,
            audit=audit,
            thumbnails=thumbnails,
            recipes=recipe or [],
            train=train,
            weights=weights,
            leave_one_out=leave_one_out,
            fractions=fraction or [],
            card=card,
            twin=twin,
        )
    )


class Residual(str, Enum):
    """What says the residual of a picture, for `vestige spectra`."""

    EXTRACTOR = "extractor"
    HIGHPASS = "highpass"


def spectra(
    run: Annotated[
        Path,
        typer.Option(help="Run of gensign with its stage dair trained, or of nirnet with its simulator."),
    ],
    data: Annotated[Path, typer.Option(help="Manifest of the pictures.")],
    out: Annotated[Path, typer.Option(help="Folder of the comparison; an interrupted one continues there.")],
    pictures: Annotated[
        int | None,
        typer.Option(
            help="At most so many pictures of each generator and source.", show_default="60; 8 for nirnet"
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Only rows of this split.")] = "all",
    side: Annotated[
        int | None,
        typer.Option(
            help="Side of the crops: for gensign a multiple of 32 from 64 on, for nirnet of 8 from 96 on.",
            show_default="96; for nirnet as the simulator was fitted",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Of the choice of pictures, and of structures or imprints.")
    ] = 0,
    structures: Annotated[
        list[int] | None,
        typer.Option(
            help="For gensign: number of simulated generators, repeatable; smaller ones are parts of larger.",
            show_default="100, 300, 1000",
        ),
    ] = None,
    per_structure: Annotated[
        int | None,
        typer.Option(help="For gensign: real pictures that every structure reconstructs.", show_default="8"),
    ] = None,
    residual: Annotated[
        Residual | None,
        typer.Option(
            help="For gensign: what says the residual.", show_default="the run's extractor, or highpass"
        ),
    ] = None,
    jpeg: Annotated[
        int | None,
        typer.Option(
            help="For gensign: encode every crop once more at this quality; 0: not.", show_default="90"
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="For nirnet: folder with the weights of its reconstructors.")
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="For nirnet: folder of reconstructions that several runs share.", show_default="one in OUT"
        ),
    ] = None,
) -> None:
    """Look at what a run simulates: spectra and principal components (extra `train`).

    gensign: do its simulated generators cover real ones? nirnet: do imprints drawn from its simulator lie
    where those of generators lie, and do they have their spectra?
    """
    from vestige.errors import ConfigError

    _workshop()
    from vestige.apps import imprints
    from vestige.apps import spectra as command
    from vestige.training.simulator_run import is_simulator_run

    nirnet = is_simulator_run(run)
    gensign_only = {
        "--structures": structures,
        "--per-structure": per_structure,
        "--residual": residual,
        "--jpeg": jpeg,
    }
    nirnet_only = {"--weights": weights, "--cache": cache}
    given = [name for name, value in (gensign_only if nirnet else nirnet_only).items() if value is not None]
    if given:
        method, other = ("gensign", "nirnet") if nirnet else ("nirnet", "gensign")
        raise ConfigError(f"{', '.join(given)} goes with runs of {method} only, and {run} is one of {other}")
    if nirnet:
        imprints.run(
            imprints.ImprintsOptions(
                run,
                data,
                out,
                8 if pictures is None else pictures,
                split,
                side,
                seed,
                weights,
                cache,
            )
        )
        return
    command.run(
        command.SpectraOptions(
            run,
            data,
            out,
            tuple(structures or (100, 300, 1000)),
            8 if per_structure is None else per_structure,
            60 if pictures is None else pictures,
            split,
            residual.value if residual else None,
            96 if side is None else side,
            90 if jpeg is None else jpeg,
            seed,
        )
    )


def ablate(
    out: Annotated[Path, typer.Option(help="Folder of the ablation: fits, scores, tables.")],
    spec: Annotated[
        Path | None, typer.Argument(help="Specification, a YAML file: a recipe, and rows that change it.")
    ] = None,
    train: Annotated[Path | None, typer.Option(help="Manifest that every row is trained on.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Only rows of this split of it.", show_default="the recipe's")
    ] = None,
    test: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MANIFEST[:SPLIT][@CONDITION]",
            help="Pictures to be scored, as they are or after a condition of the benchmark such as jpeg-50, "
            "blur-2, none or web; repeatable.",
        ),
    ] = None,
    per_group: Annotated[
        int | None,
        typer.Option(min=1, help="Of every test set at most so many pictures of each group of each class."),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Folder with starting weights.")] = None,
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder of frozen features that runs share.", show_default="one in OUT"),
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="ROW", help="Run this row and no other; repeatable.")
    ] = None,
) -> None:
    """Fit a recipe several times with one thing changed, score each fit, and write tables (extra `train`).

    Called again it goes on where it stopped; what has scores is kept. Without --train, tables and figures are
    made again from the scores in OUT.
    """
    _workshop()
    from vestige.apps import ablate as command

    command.run(
        command.AblateOptions(
            out=out,
            spec=spec,
            train=train,
            split=split,
            tests=test or [],
            weights=weights,
            cache=cache,
            only=only or [],
            per_group=per_group,
        )
    )


class FeaturePrecision(str, Enum):
    """In which frozen features are computed."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


def deviations(
    out: Annotated[Path, typer.Option(help="Folder of the figures and their page.")],
    run: Annotated[
        list[Path] | None,
        typer.Argument(help="Finished runs of attribution, or OUT/rows/ROW/seed-N of an ablation."),
    ] = None,
    test: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=MANIFEST[:SPLIT]", help="Pictures of both classes; repeatable."),
    ] = None,
    views: Annotated[
        int | None, typer.Option(min=1, help="Patches of a picture at most.", show_default="2")
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(help="Folder of frozen features that runs share.", show_default="one in OUT"),
    ] = None,
    precision: Annotated[
        FeaturePrecision | None,
        typer.Option(help="In which missing features are computed.", show_default="float32"),
    ] = None,
    title: Annotated[str, typer.Option(help="Title of the page.")] = "",
) -> None:
    """Measure how far classes lie apart before and after the attribution module (extra `train`).

    Without RUN, the page is made again from what OUT holds.
    """
    _workshop()
    from vestige.apps import deviations as command

    command.run(
        command.DeviationsOptions(
            runs=run or [],
            tests=test or [],
            out=out,
            views=views,
            cache=cache,
            precision=precision.value if precision else None,
            title=title,
        )
    )


def overlays(
    model: Annotated[str, typer.Argument(help="Model name or package folder.")],
    data: Annotated[
        str,
        typer.Option(
            metavar="MANIFEST[:SPLIT]",
            help="Labelled pictures, some of them with masks of what is generated, and untouched ones.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the pages; an interrupted scan continues there.")],
    count: Annotated[
        int, typer.Option(min=1, help="Pictures on the page that are best, median, worst, ...: of each.")
    ] = 4,
    per_group: Annotated[
        int | None,
        typer.Option(min=1, help="At most so many pictures of each group, class and manipulation."),
    ] = None,
    tower: Annotated[
        Path | None,
        typer.Option(help="File of the frozen weights, for a package that does not contain them."),
    ] = None,
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures/--no-pictures",
            help="Whether the page holds copies of pictures; without them it shows maps and borders alone.",
        ),
    ] = True,
) -> None:
    """Measure where a model sees generated pixels, and lay its maps over pictures (extra `train`).

    The page shows good and bad ones, chosen by score. Called again it goes on where it stopped.
    """
    _workshop()
    from vestige.apps import overlays as command

    command.run(command.OverlaysOptions(model, data, out, count, per_group, tower, pictures))


def choose(
    out: Annotated[Path, typer.Option(help="Folder of the comparison: held-out logits and the page.")],
    run: Annotated[
        list[Path] | None, typer.Argument(help="Finished runs of vestige train, in the order of the rows.")
    ] = None,
    title: Annotated[str, typer.Option(help="Title of the page.")] = "",
    beside: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="The run that the others are compared with, by the name of its folder.",
            show_default="the first",
        ),
    ] = "",
) -> None:
    """Compare finished runs by the groups that each of their folds had not seen (extra `train`).

    No test set is needed. Without RUN, the page is made again from what OUT holds.
    """
    _workshop()
    from vestige.apps import choose as command

    command.run(command.ChooseOptions(run or [], out, title, beside))


def _workshop() -> None:
    needs(
        "torch",
        "lightning",
        "sklearn",
        "onnx",
        "onnxscript",
        "safetensors",
        "yaml",
        "pyarrow",
        "matplotlib",
    )
