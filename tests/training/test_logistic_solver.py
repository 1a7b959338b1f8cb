"""The convex solver really ends at the optimum of logistic regression."""

import numpy as np
import torch
from tiny_workshop import recipe_values

from vestige.methods.patch_statistics.model import PatchStatistics, PatchStatisticsConfig
from vestige.training.cache import Bucket
from vestige.training.examples import Examples
from vestige.training.logistic import fit_last_layer
from vestige.training.recipe import Recipe

COUNT, PENALTY = 40, 0.1
RECIPE = Recipe.model_validate(recipe_values("patch-statistics", fit={"inverse_penalty": PENALTY}))


def test_the_last_layer_of_a_tuned_network_can_be_fitted_alone() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    network = PatchStatistics(PatchStatisticsConfig(frozen_taps=(-1, 0), tuned_taps=(2,))).eval()
    with torch.inference_mode():
        features = network.frozen(torch.rand(COUNT, 3, 64, 64))
    network.prepare([features])
    examples = Examples(
        buckets=[Bucket(np.arange(COUNT), [part.numpy().astype(np.float16) for part in features])],
        labels=rng.integers(0, 2, COUNT),
        weights=rng.uniform(0.5, 2, COUNT),
        rows=np.arange(COUNT),
        reconstructed=np.zeros(COUNT, dtype=bool),
        groups=np.full(COUNT, "group"),
    )
    fit_last_layer(network, examples, np.ones(COUNT, dtype=bool), RECIPE)
    with torch.inference_mode():
        seen = network.embed(*(part.half().float() for part in features)).numpy().astype(np.float64)
    weight = network.linear.weight.detach().numpy()[0]
    chance = 1 / (1 + np.exp(-(seen @ weight + network.linear.bias.item())))
    error = examples.weights / examples.weights.mean() * (chance - examples.labels)
    # At the optimum of C * sum(w * loss) + |W|^2 / 2 the gradient is zero.
    np.testing.assert_allclose(PENALTY * seen.T @ error + weight, 0, atol=5e-3)
    assert abs(error.sum()) < 0.05
