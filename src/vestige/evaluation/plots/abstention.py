"""What is left right when pictures in doubt are set aside, by one rule and by another, as SVG."""

import numpy as np
from matplotlib.ticker import MaxNLocator

from vestige.evaluation.abstention import SHARES, set_aside
from vestige.evaluation.metrics import Labels, Values
from vestige.evaluation.plots.sheet import PERCENT, SOFT, WIDTH, Stroke, message, sheet, stroke

STEPS = 50
_LEFT, _TALL = 46, 132
_WIDE = (WIDTH - _LEFT - 60) / 2
_RANDOM = Stroke(SOFT, (4, 3), "", 0)


def set_aside_curves(title: str, under: str, labels: Labels, logits: Values, rules: dict[str, Values]) -> str:
    """Accuracy and AUROC of the pictures that are kept against the share that is not, one line per rule.

    Args:
        under: second part of the title: how many pictures of what.
        labels: int64 [N].
        logits: float64 [N], positive = generated.
        rules: what a rule sets aside first, in words -> its doubt of each picture, float64 [N].
    """
    if not len(labels):
        return message(title, "Nothing to draw: there is no picture.")
    shares = np.arange(STEPS + 1) * max(SHARES) / STEPS
    told = f"{under}. Among the pictures that are kept; markers as in the table"
    with sheet(title, told, _TALL + 70 + 17 * (len(rules) + 2)) as paper:
        for column, name in enumerate(("accuracy", "AUROC")):
            left = _LEFT + column * (_WIDE + 52)
            axes = paper.axes(left, 20, _WIDE, _TALL)
            paper.text(left, paper.top + 12, name, weight="bold")
            for number, (rule, doubt) in reversed(list(enumerate(rules.items()))):
                found = [one.figures[name] for one in set_aside(labels, logits, doubt, shares.tolist())]
                look = stroke(number)
                places = [int(np.argmin(np.abs(shares - share))) for share in SHARES]
                axes.plot(
                    shares, found, color=look.color, marker=look.marker, markevery=places, clip_on=False
                )
                axes.axhline(found[0], color=SOFT, linewidth=1.2, dashes=_RANDOM.dashes)
                ends = ", ".join(f"at {shares[place]:.0%} {found[place]:.3f}" for place in places)
                paper.words.append(f"{name}, set aside by {rule}: {ends}")
            axes.set(xlim=(0, max(SHARES)), xlabel="share set aside")
            axes.xaxis.set_major_formatter(PERCENT)
            axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
            if name == "accuracy":
                axes.yaxis.set_major_formatter(PERCENT)
        rows = [(_plain(stroke(number)), rule, "") for number, rule in enumerate(rules)]
        paper.legend(_TALL + 66, ("set aside first", ""), [*rows, (_RANDOM, "at random", "")])
        return paper.svg()


def _plain(look: Stroke) -> Stroke:
    """Without dashes: dashed is what chance gives."""
    return Stroke(look.color, (), look.marker, look.place)
