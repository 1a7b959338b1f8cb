"""Parts of a model's page: figures, verdicts, training, files."""

from docs_site.made import table
from vestige.inference.card import (
    Calibration,
    ExtractorCard,
    HeldBack,
    Localisation,
    Measured,
    ModelCard,
    TrainingSource,
)

_CLASSES = ("real", "generated")
_NO_FIGURES = "The card of this model has no figures."


def measured(card: ModelCard | ExtractorCard) -> list[str]:
    """What was measured, a table for each set of pictures."""
    parts = ["## Measured"]
    if not card.results:
        return [*parts, _NO_FIGURES]
    if isinstance(card, ExtractorCard):
        return [*parts, *_held_back(card.results)]
    columns = ["Figure", "Value", "95 % interval", "Real pictures", "Generated pictures"]
    for data in dict.fromkeys(item.data for item in card.results):
        rows = [
            [item.metric, *_figures(item, ".3f"), *_counts(item.real, item.generated)]
            for item in card.results
            if item.data == data
        ]
        parts += [f"On {data}:", table(columns, rows)]
    return parts


def _held_back(results: list[HeldBack]) -> list[str]:
    parts = []
    columns = ["Figure", "Mean", "Nine tenths of the pictures", "Pictures", "Sources"]
    for data in dict.fromkeys(item.data for item in results):
        rows = [
            [item.metric, *_figures(item, ".3g"), *_counts(item.pictures, item.sources)]
            for item in results
            if item.data == data
        ]
        parts += [f"On {data}:", table(columns, rows)]
    return parts


def _figures(item: Measured | HeldBack, form: str) -> list[str]:
    return [f"{item.value:{form}}", f"{item.low:{form}}\u00a0to\u00a0{item.high:{form}}"]


def _counts(*numbers: int) -> list[str]:
    return [str(number) if number else "-" for number in numbers]


def verdicts(card: ModelCard) -> list[str]:
    """How a score becomes a verdict."""
    band = card.abstention
    rows = [
        [f"below {band.low:.3f}", "likely real"],
        [f"{band.low:.3f} to below {band.high:.3f}", "inconclusive"],
        [f"from {band.high:.3f} on", "likely generated"],
    ]
    parts = ["## Verdicts", table(["Calibrated probability", "Verdict"], rows)]
    if band.max_spread is not None:
        parts.append(f"With a spread of the patches above {band.max_spread:g} log-odds: inconclusive.")
    if band.max_deviation is not None:
        parts.append(f"With a deviation above {band.max_deviation:g}: inconclusive.")
    points = [[f"{point.fpr:g}", f"{point.threshold:.3f}"] for point in card.operating_points]
    if points:
        parts += [
            "Thresholds at a false positive rate, for `--fpr`: the share of the real pictures of the "
            "calibration that reached them.",
            table(["Rate", "Threshold"], points),
        ]
    parts += ["### Calibration", _calibration(card.calibration, "pictures")]
    if card.localisation is not None:
        parts += ["### Partly generated", _localisation(card.localisation)]
    return parts


def _calibration(found: Calibration, counted: str) -> str:
    return (
        f"Probability = sigmoid({found.slope:.4g} * logit {'+' if found.intercept >= 0 else '-'} "
        f"{abs(found.intercept):.4g}), fitted on {found.real} real and {found.generated} generated "
        f"{counted}: {found.data}."
    )


def _localisation(rule: Localisation) -> str:
    return (
        f"From {rule.minimum_share:.1%} to {rule.maximum_share:.1%} of the area looked at lies at or above "
        f"{rule.threshold:.3f}, and the mean of the rest is at most {rule.maximum_rest:.3f}. "
        f"{rule.fpr:.1%} of the real pictures of the calibration had so large a part. "
        + _calibration(rule.calibration, "cells")
    )


def training(card: ModelCard | ExtractorCard) -> list[str]:
    """What it was made of."""
    found = card.training
    parts = ["## Training", f"Data: {found.data}. Seed {found.seed}."]
    if found.starting_weights:
        parts.append("Started from:\n\n" + "\n".join(f"- {line}" for line in found.starting_weights))
    if found.sources:
        parts += [_totals(found.sources), _sources(found.sources)]
    folded = "\n".join(
        f"    {line}".rstrip() for line in f"```yaml\n{found.recipe.strip()}\n```".splitlines()
    )
    parts.append(f'??? note "The recipe"\n\n{folded}')
    return parts


def _totals(sources: list[TrainingSource]) -> str:
    counts = [sum(source.count for source in sources if source.label == label) for label in (0, 1)]
    return (
        f"{counts[0]} real and {counts[1]} generated pictures. The licences are as found; most collections "
        "state none, and the pictures are not passed on."
    )


def _sources(sources: list[TrainingSource]) -> str:
    rows = [[source.name, _CLASSES[source.label], str(source.count), source.licence] for source in sources]
    return table(["Source", "Class", "Pictures", "Licence"], rows)


def files(card: ModelCard | ExtractorCard) -> list[str]:
    """Hashes of what belongs to it."""
    parts = []
    if isinstance(card, ModelCard) and card.tower is not None:
        tower = card.tower
        what = tower.origin if tower.hub is None else f"`{tower.file}` of `{tower.hub}` at `{tower.revision}`"
        parts += [
            "## Tower",
            f"{what}. {tower.bytes / 1e6:.0f} MB. How to put it there: [towers](../towers.md).",
        ]
    rows = [[f"`{name}`", f"`{digest}`"] for name, digest in card.files.items()]
    if isinstance(card, ModelCard) and card.tower is not None:
        rows.append(["the tower", f"`{card.tower.sha256}`"])
    rows.append(["the manifest of the training", f"`{card.training.manifest_sha256}`"])
    return [*parts, "## Files", table(["File", "SHA-256"], rows)]
