"""Metrics of per-picture scores: labels 0 real, 1 generated; larger scores mean generated.

A metric is a function `(labels int64 [N], scores float64 [N]) -> float`, nan where it is not defined. What
needs more (a rate, a threshold) becomes one with `functools.partial` or a lambda.
"""

from vestige.evaluation.metrics.calibration import Bin, brier, expected_calibration_error, reliability_table
from vestige.evaluation.metrics.decisions import (
    accuracy,
    balanced_accuracy,
    f1,
    generated_accuracy,
    real_accuracy,
)
from vestige.evaluation.metrics.groups import (
    Generators,
    Pairing,
    mean_interval,
    mean_over_generators,
    over_generators,
    pairings,
    per_generator,
    worst_generator,
)
from vestige.evaluation.metrics.inputs import Indices, Labels, Metric, Values
from vestige.evaluation.metrics.intervals import (
    BothDraws,
    BothIntervals,
    Interval,
    bootstrap,
    both_differences,
    both_draws,
    both_intervals,
    difference,
    draws,
    interval,
    wilson,
)
from vestige.evaluation.metrics.pixels import (
    Map,
    Mask,
    PictureMean,
    mean_over_pictures,
    pixel_average_precision,
    pixel_f1,
    pixel_iou,
    resize_map,
)
from vestige.evaluation.metrics.ranking import (
    auroc,
    average_precision,
    average_precision_real,
    pr_curve,
    recall_at_fpr,
    roc_curve,
)
from vestige.evaluation.metrics.real_groups import RealGroup, real_groups, worst_real_group
from vestige.evaluation.metrics.resampled import over_draws

__all__ = [
    "Bin",
    "BothDraws",
    "BothIntervals",
    "Generators",
    "Indices",
    "Interval",
    "Labels",
    "Map",
    "Mask",
    "Metric",
    "Pairing",
    "PictureMean",
    "RealGroup",
    "Values",
    "accuracy",
    "auroc",
    "average_precision",
    "average_precision_real",
    "balanced_accuracy",
    "bootstrap",
    "both_differences",
    "both_draws",
    "both_intervals",
    "brier",
    "difference",
    "draws",
    "expected_calibration_error",
    "f1",
    "generated_accuracy",
    "interval",
    "mean_interval",
    "mean_over_generators",
    "mean_over_pictures",
    "over_draws",
    "over_generators",
    "pairings",
    "per_generator",
    "pixel_average_precision",
    "pixel_f1",
    "pixel_iou",
    "pr_curve",
    "real_accuracy",
    "real_groups",
    "recall_at_fpr",
    "reliability_table",
    "resize_map",
    "roc_curve",
    "wilson",
    "worst_generator",
    "worst_real_group",
]
