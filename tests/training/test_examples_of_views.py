"""Labels and weights of views, and scoring of rows."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_workshop import recipe_values

from vestige.data.manifest import Row
from vestige.methods.base import Network, Output
from vestige.training.cache import Bucket
from vestige.training.examples import Examples, RowScore, label_views, score_rows
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
    """The logit is the first feature, the deviation the second, if there is one."""

    def head(self, *features: torch.Tensor) -> Output:
        first, *others = features[0].unbind(1)
        return Output(first, deviation=others[0] if others else None)


def scored(features: list[list[float]], chosen: list[bool]) -> list[RowScore]:
    """Two rows with two views each, which lie crosswise in two buckets."""
    values = np.array(features, dtype=np.float16)
    buckets = [Bucket(np.array(views), [values[views]]) for views in ([0, 3], [1, 2])]
    rows = np.array([0, 0, 1, 1])
    examples = Examples(buckets, rows, np.ones(4), rows, np.zeros(4, dtype=bool), np.full(4, "group"))
    return list(score_rows(First(), examples, np.array(chosen)))


def test_rows_are_scored_by_the_mean_of_their_chosen_views() -> None:
    features = [[1.0], [3.0], [8.0], [4.0]]
    assert scored(features, [True] * 4) == [(0, 2.0, None), (1, 6.0, None)]
    assert scored(features, [True, True, True, False]) == [(0, 2.0, None), (1, 8.0, None)]


def test_deviations_are_means_of_the_same_views() -> None:
    features = [[1.0, 10.0], [3.0, 20.0], [8.0, 0.5], [4.0, 1.5]]
    assert scored(features, [True] * 4) == [(0, 2.0, 15.0), (1, 6.0, 1.0)]
    assert scored(features, [False, True, True, True]) == [(0, 3.0, 20.0), (1, 6.0, 1.0)]
