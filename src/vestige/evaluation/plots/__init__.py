"""Plots of per-picture scores as SVG text: the same scores give the same bytes.

Every plot can be made of any scores. Where there is nothing to draw (one class only, no probabilities), the
sheet has a sentence that says why.
"""

from vestige.evaluation.plots.calibration import histogram, reliability
from vestige.evaluation.plots.groups import generator_bars, source_bars
from vestige.evaluation.plots.ranking import precision_recall, roc, roc_low
from vestige.evaluation.plots.sweeps import robustness

__all__ = [
    "generator_bars",
    "histogram",
    "precision_recall",
    "reliability",
    "robustness",
    "roc",
    "roc_low",
    "source_bars",
]
