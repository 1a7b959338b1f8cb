"""The attribution consistency module: what an encoder-decoder of one class cannot explain (section 4.2)."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

Activation = Literal["relu", "gelu", "tanh"]
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "tanh": nn.Tanh}


def layers(widths: Sequence[int], activation: Activation) -> nn.Sequential:
    """Linear layers from width to width, with the activation between them and none after the last."""
    found: list[nn.Module] = []
    for number in range(len(widths) - 1):
        if number:
            found.append(ACTIVATIONS[activation]())
        found.append(nn.Linear(widths[number], widths[number + 1]))
    return nn.Sequential(*found)


class AttributionModule(nn.Module):
    """Encoder E and decoder D, both with hidden layers, and the deviation A(f) = |f - D(E(f))| (eq. 3).

    Args:
        width: D, of the features.
        widths: of the encoder's layers, the narrowest last; the decoder mirrors them. The paper does not
            give them.
        activation: after every layer but the decoder's last.
    """

    def __init__(self, width: int, widths: Sequence[int], activation: Activation) -> None:
        super().__init__()
        self.encoder = nn.Sequential(layers((width, *widths), activation), ACTIVATIONS[activation]())
        self.decoder = layers((*reversed(widths), width), activation)

    def reconstruct(self, features: Tensor) -> Tensor:
        """D(E(f)): [B, D] -> the same shape."""
        found: Tensor = self.decoder(self.encoder(features))
        return found

    def forward(self, features: Tensor) -> Tensor:
        """The deviation, at least 0: [B, D] -> the same shape."""
        return (features - self.reconstruct(features)).abs()


def attribution_loss(deviations: Tensor) -> Tensor:
    """Mean over samples of the L1 norm of the deviation (eq. 4): [B, D] -> []."""
    return deviations.sum(1).mean()


def classification_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of sigmoid(logit) and label, 1 for generated (eq. 5): [B], [B] -> []."""
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
