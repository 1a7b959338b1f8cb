"""Channel statistics and standardisation against NumPy."""

import numpy as np
import torch

from vestige.nn.statistics import Standardise, channel_correlations, mean_and_deviation


def test_mean_and_deviation_are_numpys() -> None:
    features = np.random.default_rng(0).normal(3, 2, (4, 5, 6, 7))
    found = mean_and_deviation(torch.from_numpy(features))
    expected = np.concatenate([features.mean((2, 3)), features.std((2, 3))], 1)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_correlations_are_numpys() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(3, 200, (2, 5, 6, 7))  # deviations far above the floor of 1e-3
    found = channel_correlations(torch.from_numpy(features)).numpy()
    for picture, expected in zip(features, found, strict=True):
        full = np.corrcoef(picture.reshape(5, -1))
        by_hand = [full[i, j] for i in range(5) for j in range(i + 1, 5)]
        np.testing.assert_allclose(expected, by_hand, atol=1e-4)


def test_a_dead_channel_is_correlated_with_none() -> None:
    features = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    features[:, 1] = 0.25
    first_second, first_third, second_third = channel_correlations(features)[0].tolist()
    assert first_second == second_third == 0
    assert abs(first_third) > 0.01


def test_flat_patch_has_a_finite_gradient() -> None:
    features = torch.full((1, 2, 4, 4), 0.5, requires_grad=True)
    mean_and_deviation(features).sum().backward()
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()
    features.grad = None
    channel_correlations(features).sum().backward()
    assert torch.isfinite(features.grad).all()


def test_standardise() -> None:
    features = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) * 4 + 7
    layer = Standardise(3)
    assert torch.equal(layer(features), features)
    layer.fit(features)
    np.testing.assert_allclose(layer(features).mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(layer(features).std(0), 1, atol=1e-5)


def test_a_constant_feature_does_not_blow_up_rounding() -> None:
    layer = Standardise(1)
    layer.fit(torch.full((10, 1), 2.0))
    assert abs(layer(torch.tensor([[2.0 + 1e-6]])).item()) < 0.1
