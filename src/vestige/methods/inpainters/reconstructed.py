"""Inpainting by a reconstructor: what lies in the mask is replaced by its own reconstruction."""

import hashlib

import numpy as np
import numpy.typing as npt
import torch

from vestige.methods.inpainters.window import Window, bounds
from vestige.methods.reconstructors.base import Reconstructor

MARGIN = 64  # pixels around the mask that the network sees, too

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


class Reconstructed:
    """A reconstructor as an `Inpaint`: the mask says only where its answer is needed.

    For masks far smaller than the picture the network is given a window: the mask's bounding box, `MARGIN`
    pixels around it, and out to the network's grid, which is anchored at the upper left of the picture as it
    is for the whole picture. What comes back inside the mask is what the network says of that window; a
    network that looks further than the margin would say a little else of the whole picture.

    Attributes:
        description: all that decides the result, with a hash of the network's tensors.
    """

    def __init__(self, network: Reconstructor) -> None:
        self._network = network
        self.description = f"{network.description}, margin {MARGIN}, weights {_fingerprint(network)}"

    def __call__(self, pixels: Pixels, mask: Mask) -> Pixels:
        """uint8 [H, W, 3], bool [H, W] -> the picture with the mask's window reconstructed."""
        made: Pixels = pixels.copy()
        box = bounds(mask)
        if box is None:
            return made
        window = self._window(box, pixels.shape[0], pixels.shape[1])
        images = torch.from_numpy(pixels[window.slices].copy()).permute(2, 0, 1)[None] / 255
        with torch.inference_mode():
            found = self._network(images)[0]
        made[window.slices] = (found * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        return made

    def _window(self, box: Window, height: int, width: int) -> Window:
        grid = self._network.multiple
        return Window(
            max(0, box.top - MARGIN) // grid * grid,
            max(0, box.left - MARGIN) // grid * grid,
            min(height, -(-(box.bottom + MARGIN) // grid) * grid),
            min(width, -(-(box.right + MARGIN) // grid) * grid),
        )


def _fingerprint(network: Reconstructor) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        # As bytes: NumPy does not know bfloat16.
        digest.update(tensor.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]
