"""VA1xx: whether a property that has nothing to do with generation tells the classes apart."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vestige.evaluation.audit.contrast import flagged, medians, shares
from vestige.evaluation.audit.findings import Figure, Finding, Section, finding
from vestige.evaluation.audit.folds import ENOUGH, PICTURES, Labels, Values, area, choose_basis, out_of_fold
from vestige.evaluation.audit.measure import COLOUR, METADATA, Records


@dataclass(frozen=True)
class Shortcut:
    """One property.

    Attributes:
        code: of the finding.
        subject: for the explanation, with a capital letter.
        features: records [N] -> float64 [N, F], without nan.
        differences: records [N], labels [N] -> how the classes differ, in words.
        jpeg_only: measured among JPEG files alone.
        linear: many features of one kind: logistic regression instead of trees.
    """

    code: str
    subject: str
    features: Callable[[Records], Values]
    differences: Callable[[Records, Labels], list[str]]
    jpeg_only: bool = False
    linear: bool = False


def judge(value: float, low: float) -> Section:
    """The rule of `codes.RULE`."""
    if low > 0.6 or (value >= 0.7 and low > 0.55):
        return "issue"
    return "tip" if low > 0.5 or value >= 0.6 else "passed"


def find_shortcuts(
    records: Records, labels: Labels, groups: Sequence[str], pictures: Sequence[str], seed: int
) -> list[Finding]:
    """One finding per shortcut.

    Args:
        records: [N] of `measure.RECORD`, all readable.
        labels: int64 [N].
        groups: group of each picture.
        pictures: source picture of each picture.
    """
    found = []
    for shortcut in SHORTCUTS:
        inside = is_jpeg(records) if shortcut.jpeg_only else np.ones(len(records), bool)
        some = [np.asarray(names, dtype=object)[inside].tolist() for names in (groups, pictures)]
        found.append(_examine(shortcut, records[inside], labels[inside], some[0], some[1], seed))
    return found


def _examine(
    shortcut: Shortcut, records: Records, labels: Labels, groups: list[str], pictures: list[str], seed: int
) -> Finding:
    basis = choose_basis(groups, pictures, labels)
    if basis is None:
        counts = f"{(labels == 0).sum()} real and {(labels == 1).sum()} generated"
        return finding(
            shortcut.code,
            "not_applicable",
            f"There are {counts} {'JPEG files' if shortcut.jpeg_only else 'readable pictures'}; at least "
            f"{PICTURES} of each class from {ENOUGH} source pictures are needed.",
        )
    features = shortcut.features(records)
    if _constant(features):
        figure = Figure(
            value=0.5, low=0.5, high=0.5, real=int((labels == 0).sum()), generated=int((labels == 1).sum())
        )
        words = f"{shortcut.subject}: the same for all pictures, so it cannot tell anything (AUROC 0.5)."
        return finding(shortcut.code, "passed", words, figure)
    scores = out_of_fold(features, labels, basis.clusters, seed, shortcut.linear)
    figure = area(labels, scores, basis.clusters, seed)
    section = judge(figure.value, figure.low)
    sentences = [_verdict(shortcut.subject, section, figure)]
    if differences := shortcut.differences(records, labels):
        sentences.append("; ".join(differences) + ".")
    kept = "groups" if basis.unit == "group" else "source pictures"
    real, generated = (
        len({c for c, at in zip(basis.clusters, labels, strict=True) if at == k}) for k in (0, 1)
    )
    sentences.append(f"Folds and interval by {basis.unit} ({real} real, {generated} generated {kept}).")
    return finding(shortcut.code, section, " ".join(sentences), figure)


def _verdict(subject: str, section: Section, figure: Figure) -> str:
    if section == "issue":
        return f"{subject} alone: tells the classes apart, without a look at what makes a picture generated."
    if section == "tip" and figure.low > 0.5:
        return f"{subject} alone: some signal."
    if section == "tip":
        return f"{subject} alone: perhaps some signal; these pictures are too few or too alike to tell."
    if figure.value < 0.5:
        return f"{subject} alone: below 0.5 out of fold, which counts as no signal."
    return f"{subject} alone: no signal beyond chance that these pictures could show."


def _constant(features: Values) -> bool:
    return bool((features == features[:1]).all())


def is_jpeg(records: Records) -> npt.NDArray[np.bool_]:
    """Which pictures came as JPEG, [N]."""
    return np.asarray(records["format"] == "JPEG")


def _columns(*columns: npt.ArrayLike) -> Values:
    return np.column_stack([np.asarray(column, dtype=np.float64) for column in columns])


def _format(records: Records) -> Values:
    return _columns(*(records["format"] == name for name in np.unique(records["format"])))


def _size(records: Records) -> Values:
    return _columns(records["width"], records["height"])


def _size_words(records: Records, labels: Labels) -> list[str]:
    names = np.array([f"{w} x {h}" for w, h in zip(records["width"], records["height"], strict=True)])
    shorter = np.minimum(records["width"], records["height"]).astype(float)
    return medians("shorter side", shorter, labels) + shares(names, labels)


def _aspect(records: Records) -> Values:
    return _columns(records["width"] / records["height"])


def _aspect_words(records: Records, labels: Labels) -> list[str]:
    ratio = records["width"] / records["height"]
    shape = np.where(ratio > 1, "landscape", np.where(ratio < 1, "portrait", "square"))
    return shares(shape, labels) + medians("width / height", ratio, labels, 2)


def _regular(records: Records) -> Values:
    width, height = records["width"], records["height"]
    return _columns(width == height, (width % 64 == 0) & (height % 64 == 0))


def _regular_words(records: Records, labels: Labels) -> list[str]:
    square, multiples = _regular(records).T > 0
    return flagged("square", square, labels) + flagged("both sides multiples of 64", multiples, labels)


def _jpeg(records: Records) -> Values:
    names = np.unique(records["subsampling"])
    settings = _columns(*(records[name] for name in ("quality", "luma", "chroma", "progressive")))
    # Trees need a number; -1 is a value of its own.
    settings = np.nan_to_num(settings, nan=-1.0)
    return np.concatenate([settings, _columns(*(records["subsampling"] == name for name in names))], 1)


def _jpeg_words(records: Records, labels: Labels) -> list[str]:
    return [
        *medians("quality", records["quality"], labels),
        *flagged("tables of no standard quality", np.isnan(records["quality"]), labels),
        *shares(records["subsampling"], labels, 2),
        *flagged("progressive", records["progressive"] == 1, labels),
    ]


def _metadata(records: Records) -> Values:
    return _columns(*(records[name] for name in METADATA))


def _metadata_words(records: Records, labels: Labels) -> list[str]:
    words = {name: name if name == "text" else name.upper() for name in METADATA}
    return [text for name in METADATA for text in flagged(words[name], records[name], labels)]


def _length(records: Records) -> Values:
    return _columns(records["bytes"], records["bytes"] / (records["width"] * records["height"]))


def _length_words(records: Records, labels: Labels) -> list[str]:
    kilobytes, each = _length(records).T
    return medians("kilobytes", kilobytes / 1000, labels) + medians("bytes per pixel", each, labels, 2)


def _mean_colour(records: Records) -> Values:
    return np.concatenate([records["mean"], records["sd"]], 1).astype(np.float64)


def _mean_colour_words(records: Records, labels: Labels) -> list[str]:
    found = []
    for number, name in enumerate(("red", "green", "blue")):
        found += medians(f"mean {name}", records["mean"][:, number].astype(np.float64), labels)
    return found + medians("contrast (sd)", records["sd"].mean(1).astype(np.float64), labels)


def _thumbnail(records: Records) -> Values:
    return records["colour"].reshape(len(records), -1).astype(np.float64)


def _thumbnail_words(records: Records, labels: Labels) -> list[str]:
    """The cell whose brightness differs most, measured in its own standard deviation."""
    cells = records["colour"].mean(-1)
    real, generated = cells[labels == 0].mean(0), cells[labels == 1].mean(0)
    distance = np.abs(real - generated) / (cells.std(0) + 1)
    row, column = divmod(int(distance.argmax()), COLOUR)
    return [
        f"most different cell: row {row + 1}, column {column + 1} of 8, mean brightness "
        f"{real[row, column]:.0f} (real), {generated[row, column]:.0f} (generated) of 255"
    ]


def _all_facts(records: Records) -> Values:
    parts = (_format, _size, _aspect, _regular, _jpeg, _metadata, _length)
    return np.concatenate([part(records) for part in parts], 1)


SHORTCUTS = (
    Shortcut("VA101", "File format", _format, lambda r, labels: shares(r["format"], labels)),
    Shortcut("VA102", "Width and height", _size, _size_words),
    Shortcut("VA103", "Aspect ratio", _aspect, _aspect_words),
    Shortcut("VA104", "Square or multiples of 64", _regular, _regular_words),
    Shortcut("VA105", "JPEG settings, among JPEG files", _jpeg, _jpeg_words, jpeg_only=True),
    Shortcut("VA106", "Presence of metadata", _metadata, _metadata_words),
    Shortcut("VA107", "File size", _length, _length_words),
    Shortcut("VA108", "Mean colour", _mean_colour, _mean_colour_words),
    Shortcut("VA109", "An 8x8 thumbnail", _thumbnail, _thumbnail_words, linear=True),
    Shortcut("VA110", "All facts of the file", _all_facts, lambda r, labels: []),
)
