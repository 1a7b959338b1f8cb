"""The command line. Commands are thin, and import what they need when they run: `--help` stays fast."""

import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

import vestige
from vestige.errors import VestigeError

app = typer.Typer(
    name="vestige",
    help="Tell AI-generated images from real ones, show where and why, and say so when it cannot be known.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

if TYPE_CHECKING:
    from vestige.reports import Format

ERROR = 2
INTERRUPTED = 130


class FailOn(str, Enum):
    """Verdicts that a script may want to stop at."""

    GENERATED = "generated"
    INCONCLUSIVE = "inconclusive"


def main() -> None:
    """Entry point: errors of ours become one sentence and exit code 2, never a traceback."""
    try:
        code = app(standalone_mode=False)
    except VestigeError as error:
        _fail(str(error), ERROR)
    except KeyboardInterrupt:
        _fail("stopped", INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing is wrong, and nobody is left to tell.
        sys.stderr.close()
        sys.exit(0)
    except Exception as error:
        _usage(error)
    else:
        if code == INTERRUPTED:  # newer Typer turns Ctrl-C into this code without a word
            _fail("stopped", INTERRUPTED)
        sys.exit(code if isinstance(code, int) else 0)


def _usage(error: Exception) -> None:
    # Typer may bring its own copy of click: what an error can do tells more than its class.
    if type(error).__name__ == "Abort":
        _fail("stopped", INTERRUPTED)
    show = getattr(error, "show", None)
    if show is None:
        raise error
    show()
    sys.exit(getattr(error, "exit_code", ERROR))


def _fail(sentence: str, code: int) -> None:
    print(f"vestige: {sentence}", file=sys.stderr)
    sys.exit(code)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"vestige {vestige.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def scan(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Files, folders, globs, or - for a picture on stdin."),
    ],
    json: Annotated[bool, typer.Option("--json", help="One JSON array.")] = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="One JSON object per line, as pictures are judged.")
    ] = False,
    csv: Annotated[bool, typer.Option("--csv", help="CSV, as pictures are judged.")] = False,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Where --json, --jsonl or --csv goes; default stdout."),
    ] = None,
    parquet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write Parquet (needs pyarrow).")
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write a report with heat maps, one page for all.")
    ] = None,
    model: Annotated[
        str, typer.Option(help="A shipped model's name or a model package's folder.", show_default="first")
    ] = "",
    threshold: Annotated[
        float | None, typer.Option(help="Probability from which on a picture is called generated.")
    ] = None,
    fpr: Annotated[
        float | None,
        typer.Option(help="Use the model's threshold at this false positive rate: 0.01 or 0.05."),
    ] = None,
    fail_on: Annotated[
        list[FailOn] | None, typer.Option("--fail-on", help="Exit with 1 if a picture got this verdict.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Continue output files of an interrupted run; the exit code speaks of this run."
        ),
    ] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the network.")] = None,
    max_megabytes: Annotated[float, typer.Option(min=0.001, help="Larger files are refused.")] = 64,
    max_megapixels: Annotated[float, typer.Option(min=0.001, help="Larger pictures are refused.")] = 100,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No table and no progress.")] = False,
) -> None:
    """Judge pictures: likely generated, likely real, or inconclusive.

    Exit code: 0 done, 1 a verdict of --fail-on was given, 2 some input could not be read (the rest is done),
    3 nothing could be read.
    """
    from vestige.apps import scan as command

    options = command.ScanOptions(
        text_format=_one_of(json=json, jsonl=jsonl, csv=csv),
        output=output,
        parquet=parquet,
        html=html,
        model=model or None,
        threshold=threshold,
        fpr=fpr,
        fail_on=frozenset(choice.value for choice in fail_on or []),
        resume=resume,
        threads=threads,
        max_bytes=int(max_megabytes * 2**20),
        max_pixels=int(max_megapixels * 1_000_000),
        quiet=quiet,
    )
    raise typer.Exit(command.run(paths, options))


@app.command()
def models() -> None:
    """List the models that came with this installation."""
    from vestige.inference.package import load_package, shipped_models

    for name in shipped_models():
        card = load_package(name).card
        print(f"{card.title}: {card.summary}")


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(help="Recipe, a YAML file.")],
    data: Annotated[Path, typer.Option(help="Manifest of the pictures, a CSV file.")],
    run: Annotated[Path, typer.Option(help="Folder of the run; an interrupted run continues there.")],
    weights: Annotated[Path | None, typer.Option(help="Folder with starting weights.")] = None,
) -> None:
    """Train a detector by a recipe (needs the extra `train`)."""
    _workshop()
    from vestige.training.run import train as command

    command(recipe, data, weights, run)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    data: Annotated[Path, typer.Option(help="The manifest that the run was trained on.")],
    out: Annotated[Path, typer.Option(help="Folder of the model package.")],
) -> None:
    """Write a finished run as a model package (needs the extra `train`)."""
    _workshop()
    from vestige.training.export import export as command

    card = command(run, data, out)
    print(f"{out}: {card.title}")


@app.command()
def bench(
    out: Annotated[Path, typer.Option(help="Folder for scores and tables.")],
    data: Annotated[
        Path | None, typer.Option(help="Manifest of the pictures to be scored, a CSV file.")
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Model name or package folder; the first is reported by group.")
    ] = None,
    train: Annotated[
        Path | None, typer.Option(help="Training manifest: adds the metadata-only control, fitted on it.")
    ] = None,
    title: Annotated[str, typer.Option(help="Title of the page.")] = "",
    card: Annotated[
        Path | None, typer.Option(help="Write the first model's figures into this package's card.")
    ] = None,
    redo: Annotated[bool, typer.Option("--redo", help="Score again what has scores already.")] = False,
) -> None:
    """Score models on a labelled data set and write tables (needs the extra `train`).

    Without --data, the tables in OUT are made again from the scores kept there.
    """
    _workshop()
    from vestige.evaluation import bench as command
    from vestige.inference.package import DEFAULT_MODEL

    if data is None:
        (out / "README.md").write_text(command.render(out), encoding="utf-8")
    else:
        command.bench(data, model or [DEFAULT_MODEL], out, train, title, redo)
    if card is not None:
        command.write_to_card(out, card)
    print(out / "README.md")


def _one_of(**choices: bool) -> "Format | None":
    from vestige.errors import ConfigError

    chosen = [name for name, wanted in choices.items() if wanted]
    if len(chosen) > 1:
        raise ConfigError(f"choose one of --{' and --'.join(chosen)}")
    return cast("Format", chosen[0]) if chosen else None


def _workshop() -> None:
    from importlib.util import find_spec

    from vestige.errors import ConfigError

    needed = ("torch", "lightning", "sklearn", "onnx", "onnxscript", "safetensors", "yaml")
    missing = [name for name in needed if find_spec(name) is None]
    if missing:
        names = ", ".join(missing)
        raise ConfigError(
            f"this command needs the extra 'train' ({names} missing): pip install 'vestige[train]'"
        )
