"""The discriminant solver against scikit-learn's Fisher discriminant, and what the price of scatter does."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from tiny_workshop import recipe_values

from vestige.errors import ConfigError
from vestige.methods import registry
from vestige.methods.references.probe import LinearProbe
from vestige.progress import Progress
from vestige.training import discriminant
from vestige.training.cache import Bucket
from vestige.training.examples import Examples
from vestige.training.recipe import Recipe

RECIPE = Recipe.model_validate(recipe_values("discriminant", fit={"discriminant": {"between": 4.0}}))
COUNT, WIDTH = 400, 6


def cosine(one: np.ndarray, two: np.ndarray) -> float:
    return float(one @ two / np.linalg.norm(one) / np.linalg.norm(two))


def two_classes(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    labels = np.repeat([0, 1], COUNT // 2)
    mixing = rng.normal(0, 1, (WIDTH, WIDTH))
    seen = rng.normal(0, 1, (COUNT, WIDTH)) @ mixing + labels[:, None] * rng.normal(0, 1, WIDTH)
    return seen.astype(np.float32), labels


def test_with_one_source_in_each_class_it_is_fishers_discriminant() -> None:
    seen, labels = two_classes(np.random.default_rng(0))
    groups = np.array(["real", "generated"])[labels]
    found = discriminant.direction(seen, labels, groups, np.ones(COUNT), 10.0, 1e-7)
    fisher = LinearDiscriminantAnalysis(solver="eigen").fit(seen, labels)
    assert cosine(found, fisher.coef_[0]) == pytest.approx(1, abs=1e-4)


def test_the_scatter_is_that_of_its_definition() -> None:
    rng = np.random.default_rng(1)
    seen, labels = two_classes(rng)
    groups = rng.choice(["a", "b", "c"], COUNT)
    weights = rng.uniform(0.5, 2, COUNT)
    between, shrinkage = 3.0, 0.2
    total, x = weights.sum(), seen.astype(np.float64)
    scatter, means = np.zeros((WIDTH, WIDTH)), []
    for label in (0, 1):
        of_class = weights[labels == label].sum()
        centres = {name: x[(labels == label) & (groups == name)].mean(0) for name in "abc"}
        share = {name: weights[(labels == label) & (groups == name)].sum() for name in "abc"}
        mean = sum(share[name] * centres[name] for name in "abc") / of_class
        for name in "abc":
            own = x[(labels == label) & (groups == name)]
            within = sum(np.outer(row - centres[name], row - centres[name]) for row in own) / len(own)
            scatter += share[name] / total * within
            apart = centres[name] - mean
            scatter += between / 2 * share[name] / of_class * np.outer(apart, apart)
        means.append(mean)
    scatter += shrinkage * np.trace(scatter) / WIDTH * np.eye(WIDTH)
    expected = np.linalg.solve(scatter, means[1] - means[0])
    found = discriminant.direction(seen, labels, groups, weights, between, shrinkage)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-5 * np.abs(expected).max())


def test_what_differs_between_sources_is_paid_for() -> None:
    """The first feature separates the classes better here, but only because of where the sources lie."""
    rng = np.random.default_rng(2)
    groups = np.repeat(list("abcdefgh"), COUNT // 8)
    labels = (groups >= "e").astype(np.int64)
    seen = rng.normal(0, 1, (COUNT, 2))
    places = dict(zip("abcdefgh", (-4.0, 2.0, -4.0, 2.0, 4.0, -2.0, 4.0, -2.0), strict=True))
    seen[:, 0] += [places[name] for name in groups]
    seen[:, 1] += labels
    free, dear = (
        discriminant.direction(seen.astype(np.float32), labels, groups, np.ones(COUNT), between, 0.01)
        for between in (0.0, 30.0)
    )
    assert free[0] > free[1] > 0
    assert dear[1] > 10 * abs(dear[0])


def examples(labels: np.ndarray, features: np.ndarray) -> Examples:
    return Examples(
        buckets=[Bucket(np.arange(len(labels)), [features.astype(np.float16)])],
        labels=labels,
        weights=np.ones(len(labels)),
        rows=np.arange(len(labels)),
        reconstructed=np.zeros(len(labels), dtype=bool),
        groups=np.array([f"{label}-{number % 3}" for number, label in enumerate(labels)]),
    )


def test_a_probe_is_fitted_to_the_chosen_views_alone() -> None:
    seen, labels = two_classes(np.random.default_rng(3))
    chosen = np.arange(COUNT) % 4 > 0
    logits = []
    for spoilt in (False, True):
        known = examples(labels.copy(), seen.copy())
        if spoilt:
            known.labels[~chosen] = 1 - known.labels[~chosen]
            known.buckets[0].features[0][~chosen] = 9  # type: ignore[index]
        network = LinearProbe(torch.nn.Identity(), WIDTH)
        discriminant.fit(network, known, chosen, RECIPE, Path(), Progress())
        with torch.inference_mode():
            logits.append(network.head(torch.from_numpy(seen).half().float()).logit.numpy())
    np.testing.assert_allclose(logits[0], logits[1], rtol=1e-4, atol=1e-4)
    accuracy = ((logits[0] > 0) == labels)[chosen].mean()
    assert accuracy > 0.75  # and on the scale of a logit:
    chance = 1 / (1 + np.exp(-logits[0][chosen]))
    assert chance.mean() == pytest.approx(labels[chosen].mean(), abs=0.02)


def test_other_networks_are_refused() -> None:
    method = registry.get("source-statistics")
    network = method.build(method.config(), None)
    with pytest.raises(ConfigError, match="not SourceStatistics"):
        discriminant.fit(
            network,
            examples(np.array([0, 1]), np.zeros((2, WIDTH))),
            np.ones(2, bool),
            RECIPE,
            Path(),
            Progress(),
        )
