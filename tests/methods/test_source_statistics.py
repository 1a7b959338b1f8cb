"""The source head: a comparison of two sides."""

import numpy as np
import pytest
import torch

from vestige.errors import ConfigError
from vestige.methods.source_statistics.model import SourceStatistics, SourceStatisticsConfig


@pytest.fixture
def network() -> SourceStatistics:
    torch.manual_seed(0)
    network = SourceStatistics(SourceStatisticsConfig(taps=(0, 2), capacity=5)).eval()
    network.assign([False, True, True])
    return network


def test_the_logit_is_the_log_of_the_odds_of_the_generated_side(network: SourceStatistics) -> None:
    statistics = torch.randn(4, network.linear.in_features)
    with torch.inference_mode():
        scores = network.linear(network.embed(statistics)).numpy().astype(np.float64)
        logit = network.head(statistics).logit.numpy()
    # The softmax over the three sources in use; the other two rows of the layer have no say.
    shares = np.exp(scores[:, :3]) / np.exp(scores[:, :3]).sum(1, keepdims=True)
    generated = shares[:, 1] + shares[:, 2]
    np.testing.assert_allclose(logit, np.log(generated / (1 - generated)), rtol=1e-4, atol=1e-4)


def test_statistics_have_two_numbers_per_channel(network: SourceStatistics) -> None:
    (statistics,) = network.frozen(torch.rand(2, 3, 64, 64))
    assert statistics.shape == (2, 2 * (16 + 24))


def test_nothing_of_the_trunk_is_trained(network: SourceStatistics) -> None:
    trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    assert trained == {"linear.weight", "linear.bias"}


def test_more_sources_than_rows_are_refused(network: SourceStatistics) -> None:
    with pytest.raises(ConfigError, match="6 sources are more than"):
        network.assign([True] * 6)
