"""Reconstruction error: what the autoencoder can make scores higher."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from vestige.errors import ConfigError
from vestige.methods.references.autoencoder_error import AutoencoderError, AutoencoderErrorConfig, build
from vestige.nn.efficientnet_lite import EfficientNetLite0
from vestige.nn.tiny_autoencoder import TinyAutoencoder, find_autoencoder


class Fixed(nn.Module):
    """Stands for the autoencoder: adds something to each picture."""

    def __init__(self, change: Tensor) -> None:
        super().__init__()
        self.change = change

    def forward(self, images: Tensor) -> Tensor:
        return (images + self.change).clamp(0, 1)


@pytest.fixture
def network() -> AutoencoderError:
    torch.manual_seed(0)
    return AutoencoderError(AutoencoderErrorConfig(tap=1)).eval()


def logits(network: AutoencoderError, images: Tensor, change: Tensor) -> Tensor:
    network.autoencoder = Fixed(change)  # type: ignore[assignment]
    with torch.inference_mode():
        return network(images).logit


def test_what_is_reconstructed_exactly_scores_most(network: AutoencoderError) -> None:
    images = torch.rand(2, 3, 64, 64)
    found = logits(network, images, torch.zeros_like(images))
    torch.testing.assert_close(found, torch.full((2,), -math.log(1e-6)))


def test_what_is_reconstructed_better_scores_higher(network: AutoencoderError) -> None:
    picture = torch.rand(1, 3, 64, 64) * 0.6 + 0.2
    noise = torch.randn(1, 3, 64, 64)
    strengths = torch.tensor([0.01, 0.03, 0.1, 0.2]).view(4, 1, 1, 1)
    found = logits(network, picture.expand(4, -1, -1, -1), strengths * noise)
    assert (found.diff() < 0).all()
    assert found.max() < -math.log(1e-6)


def test_distance_by_loops(network: AutoencoderError) -> None:
    images = torch.rand(2, 3, 32, 32)
    change = torch.randn(2, 3, 32, 32) * 0.05
    found = logits(network, images, change)
    with torch.inference_mode():
        ours, theirs = (network.trunk(x, (1,))[0].double() for x in (images, (images + change).clamp(0, 1)))
    for picture in range(2):
        distances = []
        for row in range(ours.shape[2]):
            for column in range(ours.shape[3]):
                a, b = (features[picture, :, row, column] for features in (ours, theirs))
                distances.append(float(((a / a.norm() - b / b.norm()) ** 2).sum()))
        expected = -math.log(sum(distances) / len(distances))
        assert float(found[picture]) == pytest.approx(expected, abs=1e-3)


def test_weights_come_from_the_folder(tmp_path: Path) -> None:
    torch.manual_seed(1)
    trunk, autoencoder = EfficientNetLite0(), TinyAutoencoder()
    torch.save(trunk.state_dict(), tmp_path / "efficientnet-lite0-a.pth")
    with pytest.raises(ConfigError, match=r"no \*_encoder\.pth and \*_decoder\.pth"):
        build(AutoencoderErrorConfig(), tmp_path)
    (tmp_path / "deeper").mkdir()
    torch.save(autoencoder.encoder.state_dict(), tmp_path / "deeper" / "a_encoder.pth")
    with pytest.raises(ConfigError, match=r"no \*_encoder\.pth and \*_decoder\.pth"):
        find_autoencoder(tmp_path)
    torch.save(autoencoder.decoder.state_dict(), tmp_path / "deeper" / "a_decoder.pth")
    assert [path.name for path in find_autoencoder(tmp_path)] == ["a_encoder.pth", "a_decoder.pth"]
    network = build(AutoencoderErrorConfig(), tmp_path)
    for built, source in ((network.trunk, trunk), (network.autoencoder, autoencoder)):
        expected = source.state_dict()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in built.state_dict().items())
