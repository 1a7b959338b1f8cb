"""Patch statistics: where the network is cut, and what trains."""

import pytest
import torch
from pydantic import ValidationError

from vestige.methods.patch_statistics.model import PatchStatistics, PatchStatisticsConfig
from vestige.nn.statistics import mean_and_deviation


def test_statistics_are_those_of_the_whole_network() -> None:
    torch.manual_seed(0)
    config = PatchStatisticsConfig()
    network = PatchStatistics(config).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        found = network.statistics(*network.frozen(images))
        taps = network.trunk(images, (*config.frozen_taps, *config.tuned_taps))
        expected = torch.cat([mean_and_deviation(features) for features in taps], 1)
    torch.testing.assert_close(found, expected)
    assert found.shape == (2, len(network.standardise.mean))


def test_only_blocks_behind_the_cut_are_trained() -> None:
    network = PatchStatistics(PatchStatisticsConfig(frozen_taps=(2, 4), tuned_taps=(7, 10)))
    trained = {name.split(".")[1] for name, p in network.trunk.named_parameters() if p.requires_grad}
    assert trained == {"5", "6", "7", "8", "9", "10"}


def test_training_mode_keeps_batch_normalisation_still() -> None:
    network = PatchStatistics(PatchStatisticsConfig()).train()
    assert network.dropout.training
    assert not any(module.training for module in network.trunk.modules())


def test_prepare_standardises_the_statistics() -> None:
    torch.manual_seed(0)
    network = PatchStatistics(PatchStatisticsConfig()).eval()
    with torch.inference_mode():
        batches = [network.frozen(torch.rand(8, 3, 64, 64)) for _ in range(2)]
        network.prepare(iter(batches))
        found = network.standardise(torch.cat([network.statistics(*batch) for batch in batches]))
    torch.testing.assert_close(found.mean(0), torch.zeros(found.shape[1]), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("frozen", "tuned"),
    [((0, 2), (2, 4)), ((4, 2), (7,)), ((), (7,)), ((2,), ()), ((2,), (16,)), ((-2,), (3,))],
)
def test_impossible_taps_are_refused(frozen: tuple[int, ...], tuned: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError):
        PatchStatisticsConfig(frozen_taps=frozen, tuned_taps=tuned)
