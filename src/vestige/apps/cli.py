"""The command line. Commands are thin, and import what they need when they run: `--help` stays fast."""

import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

import vestige
from vestige.apps.bulk_cli import register as register_bulk
from vestige.apps.data import data_app
from vestige.apps.serve_cli import register as register_serve
from vestige.apps.workshop_cli import register
from vestige.errors import VestigeError

app = typer.Typer(
    name="vestige",
    help="Tell AI-generated images from real ones, show where and why, and say so when it cannot be known.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.add_typer(data_app)

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
        list[FailOn] | None,
        typer.Option(
            "--fail-on",
            help="Exit with 1 if a picture got this verdict; generated includes partly generated.",
        ),
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
    trust_anchors: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="PEM roots of those whose content credentials (C2PA) are trusted.",
            show_default="the file that VESTIGE_TRUST_ANCHORS names, else none",
        ),
    ] = None,
    fetch_manifests: Annotated[
        bool,
        typer.Option(
            "--fetch-manifests",
            help="Get content credentials that a file only names from the network; its maker may notice.",
        ),
    ] = False,
    fetch: Annotated[
        bool,
        typer.Option("--fetch", help="Download the weights that the model lacks; see vestige fetch."),
    ] = False,
) -> None:
    """Judge pictures: likely generated, likely partly generated, likely real, or inconclusive.

    Likely partly generated comes only from models that draw a map of their own.

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
        fetch=fetch,
        trust_anchors=trust_anchors,
        fetch_manifests=fetch_manifests,
    )
    raise typer.Exit(command.run(paths, options))


@app.command()
def inspect(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="A picture.")],
    signature: Annotated[
        bool, typer.Option("--signature", help="Only the picture's signature and its spectrum, as files.")
    ] = False,
    model: Annotated[
        str,
        typer.Option(
            help="The detector, a shipped one's name or a package's folder; with --signature the extractor.",
            show_default="first; signature",
        ),
    ] = "",
    extractor: Annotated[
        str,
        typer.Option(
            help="The extractor, a shipped one's name or a package's folder.", show_default="signature"
        ),
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder for page and pictures.",
            show_default="NAME-inspection or NAME-signature, right here",
        ),
    ] = None,
    array: Annotated[
        bool,
        typer.Option("--array", help="With --signature: also write it as numbers, signature.npy (float16)."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the numbers as JSON.")] = False,
    ela_quality: Annotated[
        int, typer.Option(min=1, max=100, help="JPEG quality of the error level analysis.")
    ] = 90,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads of the network.")] = None,
    max_megabytes: Annotated[float, typer.Option(min=0.001, help="A larger file is refused.")] = 64,
    max_megapixels: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            help="A larger picture is refused; each megapixel takes 15 MB, with --signature 25 MB.",
            show_default="100, with --signature 50",
        ),
    ] = None,
) -> None:
    """Measure all that can be measured about one picture, and write one page about it.

    Verdict and patches, signature, high-pass residual, spectra, block grid, error level, JPEG tables and all
    metadata. With --signature only the signature, without a verdict.

    Exit code: 0 done, 2 the picture could not be read or something is missing.
    """
    from vestige.errors import ConfigError
    from vestige.images import Limits

    megapixels = max_megapixels if max_megapixels is not None else 50 if signature else 100
    limits = Limits(max_bytes=int(max_megabytes * 2**20), max_pixels=int(megapixels * 1_000_000))
    if signature:
        from vestige.apps import inspect as command

        if model and extractor:
            raise ConfigError("with --signature, --model and --extractor mean the same: give one of them")
        chosen = model or extractor or None
        command.run(image, command.InspectOptions(chosen, out, array, json, threads, limits))
        return
    from vestige.apps import inspect_all

    if array:
        raise ConfigError("--array writes the signature as numbers: use it with --signature")
    options = inspect_all.FullOptions(
        model or None, extractor or None, out, json, threads, ela_quality, limits
    )
    inspect_all.run(image, options)


@app.command()
def fetch(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model package's folder, or a name.")],
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Take this file; nothing is downloaded."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Agree to the download.")] = False,
) -> None:
    """Get the frozen weights that a model package does not contain (downloads need the extra `hub`).

    Says what will be downloaded, from where and how large it is, and asks first. Exit code: 0 it is there,
    2 it is not.
    """
    from vestige.apps import fetch as command

    command.run(model, source, yes)


@app.command()
def models() -> None:
    """List the models that came with this installation."""
    from vestige.inference.package import (
        find_card,
        load_extractor_package,
        shipped_extractors,
        shipped_models,
    )

    for name in shipped_models():
        # Not the whole package: its tower need not be here.
        _, card = find_card(name)
        print(f"{card.title} (detector): {card.summary}")
        if card.quantisation is not None:
            print(f"  {card.quantisation.describe()}")
    for name in shipped_extractors():
        extractor = load_extractor_package(name).card
        print(f"{extractor.title} (extractor, for inspect --signature): {extractor.summary}")


register_bulk(app)
register_serve(app)
register(app)


def _one_of(**choices: bool) -> "Format | None":
    from vestige.errors import ConfigError

    chosen = [name for name, wanted in choices.items() if wanted]
    if len(chosen) > 1:
        raise ConfigError(f"choose one of --{' and --'.join(chosen)}")
    return cast("Format", chosen[0]) if chosen else None
