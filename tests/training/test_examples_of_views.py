"""Labels and weights of views, and scoring of rows."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_workshop import recipe_values

from vestige.data.manifest import Row
from vestige.methods.base import Network, Output
from vestige.training.cache import Bucket
from vestige.training.examples import Examples, label_views, score_rows
from vestige.training.recipe import Recipe
from vestige.training.views import plan

DATA = {"patch": 64, "views": 2, "reconstruction": {"per_group": 1, "share": 0.25}}
RECIPE = Recipe.model_validate(recipe_values("patch-statistics", data=DATA))
ROWS = [
    Row(Path(name), name, label, name[0], "train", "")
    for name, label in (("a1", 0), ("a2", 0), ("b1", 0), ("c1", 1))
]


def test_reconstructions_count_as_generated_and_take_their_share() -> None:
    views = plan(RECIPE.data, len(ROWS), [0, 2])
    examples = label_views(RECIPE, ROWS, views, [])
    assert examples.rows.tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 3, 3]
    assert examples.reconstructed.tolist() == [
        False,
        False,
        True,
        True,
        *[False] * 4,
        True,
        True,
        False,
        False,
    ]
    assert examples.labels.tolist() == [0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1]
    weights, labels = examples.weights, examples.labels
    assert weights.mean() == pytest.approx(1)
    assert weights[labels == 1].sum() == pytest.approx(weights[labels == 0].sum())
    assert weights[examples.reconstructed].sum() == pytest.approx(0.25 * weights[labels == 1].sum())


class First(Network):
    """The logit is the first feature."""

    def head(self, *features: torch.Tensor) -> Output:
        return Output(features[0][:, 0])


def test_rows_are_scored_by_the_mean_of_their_chosen_views() -> None:
    buckets = [
        Bucket(np.array([0, 3]), [np.array([[1.0], [4.0]], dtype=np.float16)]),
        Bucket(np.array([1, 2]), [np.array([[3.0], [8.0]], dtype=np.float16)]),
    ]
    rows = np.array([0, 0, 1, 1])
    examples = Examples(buckets, rows, np.ones(4), rows, np.zeros(4, dtype=bool), np.full(4, "group"))
    assert list(score_rows(First(), examples, np.ones(4, dtype=bool))) == [(0, 2.0), (1, 6.0)]
    assert list(score_rows(First(), examples, np.array([True, True, True, False]))) == [(0, 2.0), (1, 8.0)]
