"""The source solver against scikit-learn's multinomial logistic regression."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from tiny_workshop import recipe_values

from vestige.errors import ConfigError
from vestige.methods import registry
from vestige.methods.source_statistics.model import SourceStatistics, SourceStatisticsConfig
from vestige.progress import Progress
from vestige.training import sources
from vestige.training.cache import Bucket
from vestige.training.examples import RECONSTRUCTION, Examples
from vestige.training.recipe import Recipe

GROUPS = ["camera", "phone", "gan", RECONSTRUCTION]
RECIPE = Recipe.model_validate(recipe_values("source-statistics", fit={"inverse_penalty": 0.05}))


def examples(width: int, count: int = 120) -> Examples:
    rng = np.random.default_rng(0)
    which = rng.integers(0, 4, count)
    features = rng.normal(0, 1, (count, width)).astype(np.float16)
    features[np.arange(count), which] += 2
    return Examples(
        buckets=[Bucket(np.arange(count), [features])],
        labels=(which >= 2).astype(np.int64),
        weights=rng.uniform(0.5, 2, count),
        rows=np.arange(count),
        reconstructed=which == 3,
        groups=np.array([GROUPS[number] for number in which]),
    )


def fitted(known: Examples, chosen: np.ndarray) -> SourceStatistics:
    network = SourceStatistics(SourceStatisticsConfig(taps=(0,), capacity=6))
    sources.fit(network, known, chosen, RECIPE, Path(), Progress())
    return network.eval()


def test_it_finds_the_same_optimum() -> None:
    known = examples(32)
    network = fitted(known, np.ones(120, dtype=bool))
    features = torch.from_numpy(known.buckets[0].features[0]).float()
    seen = network.embed(features).detach().numpy()
    other = LogisticRegression(C=0.05, max_iter=5000, tol=1e-8)
    other.fit(seen, known.groups, sample_weight=known.weights / known.weights.mean())
    chances = other.predict_proba(seen)
    generated = chances[:, np.isin(other.classes_, ["gan", RECONSTRUCTION])].sum(1)
    with torch.inference_mode():
        logit = network.head(features).logit.numpy()
    np.testing.assert_allclose(logit, np.log(generated / (1 - generated)), atol=0.02)


def test_views_that_were_not_chosen_have_no_influence() -> None:
    known = examples(32)
    chosen = np.arange(120) < 80
    first = fitted(known, chosen)
    known.labels[80:] = 1 - known.labels[80:]
    known.buckets[0].features[0][80:] = 9
    second = fitted(known, chosen)
    for one, two in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        if one.dtype.is_floating_point and one.shape == first.linear.weight.shape:
            torch.testing.assert_close(one, two)


def test_other_networks_are_refused() -> None:
    method = registry.get("srm-statistics")
    network = method.build(method.config(), None)
    with pytest.raises(ConfigError, match="not LinearProbe"):
        sources.fit(network, examples(32), np.ones(120, dtype=bool), RECIPE, Path(), Progress())
