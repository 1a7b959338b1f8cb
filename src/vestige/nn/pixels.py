"""What networks do to the pixels of a view before anything is learned."""

from torch import Tensor, nn


class Middle(nn.Module):
    """The middle of images that are larger than `side`; None: whole images."""

    def __init__(self, side: int | None) -> None:
        super().__init__()
        self.side = side

    def forward(self, images: Tensor) -> Tensor:
        """[B, 3, H, W] -> [B, 3, min(H, side), min(W, side)]."""
        if self.side is not None:
            height, width = (min(side, self.side) for side in images.shape[-2:])
            top, left = (images.shape[-2] - height) // 2, (images.shape[-1] - width) // 2
            images = images[..., top : top + height, left : left + width]
        # On CPUs PyTorch's group normalisation loses digits where channels come last, of flat pictures most.
        return images.contiguous()


class ToGreyLevels(nn.Module):
    """[0, 1] -> whole grey levels 0-255, which the cache's float16 holds exactly."""

    def forward(self, images: Tensor) -> Tensor:
        """The same shape."""
        return (images * 255).round()


class FromGreyLevels(nn.Module):
    """0-255 -> [0, 1]."""

    def forward(self, levels: Tensor) -> Tensor:
        """The same shape."""
        return levels / 255
