"""What the segmentation heads learn by: the share of each cell that was changed, or that is generated."""

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

CHANNELS = {"manipulated": 0, "source": 1}  # of the truth, by head


class LossWeights(BaseModel):
    """Weights of the segmentation's losses; the classification's has 1.

    Attributes:
        manipulated, source: of the two heads.
        dice: of the soft Dice loss, beside the cross-entropy's 1 within each head; 0 leaves it out.
        parts: how much of a head's loss comes from views of which it is to mark a part alone, where the batch
            has some; None: as much as their cells make up, and wholly generated pictures decide what the head
            "source" learns.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    manipulated: float = Field(0.5, gt=0)
    source: float = Field(0.5, gt=0)
    dice: float = Field(0.0, ge=0)
    parts: float | None = Field(None, gt=0, lt=1)


def targets(truth: Tensor, head: str, size: tuple[int, int]) -> Tensor:
    """Targets of a head on the grid of its map.

    Args:
        truth: float [B, 2, s, s] in [0, 1]: share of each cell that was changed, and that is generated.
        head: "manipulated" or "source".
        size: (h, w) of the map, which covers the whole view; each of its cells gets the mean of those of the
            truth that it touches.

    Returns:
        float32 [B, 1, h, w].
    """
    channel = CHANNELS[head]
    return F.adaptive_avg_pool2d(truth[:, channel : channel + 1].float(), size)


def balanced_cross_entropy(logits: Tensor, shares: Tensor) -> Tensor:
    """Binary cross-entropy against soft targets; both classes have the same weight within the batch.

    1/2 sum(t * -log p) / max(sum t, 1) + 1/2 sum((1 - t) * -log(1 - p)) / max(sum(1 - t), 1), where p is the
    sigmoid of the logits and sums go over all cells of the batch. A class that fills less than one of them
    counts as little as it is there: a sliver must not make up half the loss.

    Args:
        logits, shares: of the same shape; shares t in [0, 1].
    """
    logits, shares = logits.float(), shares.float()
    rest = 1 - shares
    positive = (shares * F.softplus(-logits)).sum() / shares.sum().clamp(min=1)
    negative = (rest * F.softplus(logits)).sum() / rest.sum().clamp(min=1)
    return (positive + negative) / 2


def soft_dice(logits: Tensor, shares: Tensor) -> Tensor:
    """1 - (2 sum(p t) + 1) / (sum p^2 + sum t^2 + 1) over the whole batch; 0 where p = t everywhere.

    With squares (Milletari et al., 2016), since a target may be a share.

    Args:
        logits, shares: of the same shape; shares t in [0, 1].
    """
    p, shares = torch.sigmoid(logits.float()), shares.float()
    return 1 - (2 * (p * shares).sum() + 1) / (p.square().sum() + shares.square().sum() + 1)


def segmentation_losses(logits: dict[str, Tensor], truth: Tensor, weights: LossWeights) -> dict[str, Tensor]:
    """The loss of each head with its weight, a scalar by the head's name.

    Args:
        logits: [B, 1, h, w] by the head's name.
        truth: as for `targets`.
    """
    found = {}
    for name, said in logits.items():
        shares = targets(truth, name, (said.shape[-2], said.shape[-1]))
        loss = _of_parts(said, shares, weights.parts)
        if weights.dice:
            loss = loss + weights.dice * soft_dice(said, shares)
        found[name] = getattr(weights, name) * loss
    return found


def _of_parts(logits: Tensor, shares: Tensor, weight: float | None) -> Tensor:
    """Cross-entropy of views with a part and of others, each balanced; of all at once without a weight."""
    if weight is None:
        return balanced_cross_entropy(logits, shares)
    mean = shares.mean((1, 2, 3))
    part = (mean > 0) & (mean < 1)
    if not part.any() or part.all():
        return balanced_cross_entropy(logits, shares)
    of_parts = balanced_cross_entropy(logits[part], shares[part])
    return weight * of_parts + (1 - weight) * balanced_cross_entropy(logits[~part], shares[~part])
