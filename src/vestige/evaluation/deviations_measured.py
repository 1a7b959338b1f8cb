"""All figures of `vestige deviations` for one run on one test set, every interval on the same resamples."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from vestige.evaluation import abstention, metrics, separability, tables
from vestige.evaluation.abstention import SHARES
from vestige.evaluation.deviations_record import (
    Aside,
    Figure,
    Measured,
    Pictures,
    Rule,
    Separability,
    figure,
    short,
)
from vestige.evaluation.metrics import Indices, Interval, Values
from vestige.evaluation.metrics.intervals import bounds
from vestige.evaluation.separability import Estimate

Features = npt.NDArray[np.floating]


def measure(
    test: str,
    run: str,
    pictures: Pictures,
    before: Features,
    after: Features,
    source: str,
    patches: int,
) -> Measured:
    """The figures of a run on a test set.

    Args:
        pictures: N of them.
        before, after: f and A(f) of each picture, [N, D].
        source: "real" or "generated", what the attribution module was fitted to.
        patches: of all pictures.
    """
    labels = pictures.labels
    count = max(200, min(tables.DRAWS, tables.MOST // max(1, len(labels))))
    draws = metrics.draws(labels, pictures.groups, min(tables.DRAWS, count))
    spaces = before, after, pictures.magnitudes[:, None]
    first, second, alone = (separability.separation(space, labels) for space in spaces)
    drawn = [separability.resampled(space, labels, draws) for space in spaces]
    turned = oriented(pictures.magnitudes, source)
    return Measured(
        test=test,
        run=run,
        patches=patches,
        draws=len(draws),
        before=_figures(separability.estimates(first, drawn[0])),
        after=_figures(separability.estimates(second, drawn[1])),
        change=_figures(separability.changes(first, second, drawn[0], drawn[1])),
        magnitude_fisher=_figures(separability.estimates(alone, drawn[2]))["fisher"],
        magnitude_auroc=_figure(metrics.interval(metrics.auroc, labels, turned, draws)),
        logit_auroc=_figure(metrics.interval(metrics.auroc, labels, pictures.logits, draws)),
        logit_minus_magnitude=_figure(
            metrics.difference(metrics.auroc, labels, pictures.logits, turned, draws)
        ),
        aside=_aside(pictures, draws),
    )


def oriented(magnitudes: Values, source: str) -> Values:
    """Magnitudes as scores for "generated": as they are where the source is real, else negated."""
    return magnitudes if source == "real" else -magnitudes


def doubts(pictures: Pictures) -> dict[Rule, Values]:
    """Rule -> the doubt of each picture, larger ones to be set aside first."""
    return {"deviation": pictures.magnitudes, "logit": -np.abs(pictures.logits)}


def _figures(found: dict[str, Estimate]) -> dict[str, Separability]:
    return {
        name: Separability(
            value=short(one.value), low=short(one.low), high=short(one.high), noise=short(one.noise)
        )
        for name, one in found.items()
    }


def _aside(pictures: Pictures, draws: Sequence[Indices]) -> list[Aside]:
    labels, logits = pictures.labels, pictures.logits
    rules = doubts(pictures)
    found = {rule: abstention.set_aside(labels, logits, doubt) for rule, doubt in rules.items()}
    drawn = {rule: abstention.resampled(labels, logits, doubt, draws) for rule, doubt in rules.items()}

    def minus(rule: Rule, place: int, other: Rule, other_place: int) -> dict[str, Figure]:
        return {
            name: figure(
                found[rule][place].figures[name] - found[other][other_place].figures[name],
                *bounds(drawn[rule][name][:, place] - drawn[other][name][:, other_place]),
            )
            for name in abstention.METRICS
        }

    return [
        Aside(
            rule=rule,
            share=share,
            real=found[rule][place].real,
            generated=found[rule][place].generated,
            figures={
                name: figure(value, *bounds(drawn[rule][name][:, place]))
                for name, value in found[rule][place].figures.items()
            },
            # Of share 0: all pictures.
            minus_all=minus(rule, place, rule, 0),
            minus_logit=minus(rule, place, "logit", place),
        )
        for place, share in enumerate(SHARES)
        for rule in rules
    ]


def _figure(interval: Interval) -> Figure:
    return figure(interval.value, interval.low, interval.high)
