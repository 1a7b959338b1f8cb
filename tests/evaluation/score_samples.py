"""Scores made up with seeds, for tests of plots, pages and galleries."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vestige.evaluation.scores import Scores

LOW, HIGH = 0.2, 0.8


def scores_of(labels: Sequence[int], logits: Sequence[float], **changes: Any) -> Scores:
    """Scores with these labels and logits; everything else follows from them or is given by name."""
    count = len(labels)
    values = np.array(logits, dtype=np.float64)
    probabilities = changes.pop("probabilities", 1 / (1 + np.exp(-values)))
    fields: dict[str, Any] = {
        "model": "brightness 1.0",
        "data": "made-up",
        "condition": "as-found/1",
        "paths": [f"picture-{number}.png" for number in range(count)],
        "labels": np.array(labels, dtype=np.int64),
        "groups": ["generator" if label else "camera" for label in labels],
        "pictures": [f"picture-{number}.png" for number in range(count)],
        "compare_with": [""] * count,
        "logits": values,
        "probabilities": np.array(probabilities, dtype=np.float64),
        "thresholds": (LOW, HIGH),
        "verdicts": [_verdict(probability) for probability in probabilities],
        "unreadable": [],
        "left_out": [],
    }
    return Scores(**{**fields, **changes})


def made_up(
    model: str = "brightness 1.0", each: int = 120, distance: float = 1.5, seed: int = 0, **changes: Any
) -> Scores:
    """Normal scores of two classes, 4 sources of real pictures and 3 generators that differ a little."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], each)
    logits = rng.normal(distance * (labels - 0.5) + 0.2 * (np.arange(2 * each) % 4), 1)
    groups = [f"camera-{n % 4}" if not label else f"generator-{n % 3}" for n, label in enumerate(labels)]
    return scores_of(labels.tolist(), logits.tolist(), **{"model": model, "groups": groups, **changes})


def _verdict(probability: float) -> str:
    if np.isnan(probability):
        return ""
    if probability >= HIGH:
        return "likely_generated"
    return "likely_real" if probability < LOW else "inconclusive"
