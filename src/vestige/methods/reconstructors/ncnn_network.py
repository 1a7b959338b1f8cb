"""A network in ncnn's format (text file of layers, binary file of weights), run on the processor."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vestige.errors import ConfigError
from vestige.methods.reconstructors.extras import require

FOREIGN_PRECISION = ("use_fp16_", "use_bf16_")
KIND = "super-resolution"


class NcnnNetwork:
    """One picture in, one picture out. Immutable: copies share it, and pickles read the files again.

    One thread and float32 throughout, so that results depend neither on the number of processors nor on
    whether these know half precision; the order of sums, and so the last digits, may differ between kinds.

    Attributes:
        param: the text file with the layers.
        binary: the file with the weights.
    """

    def __init__(self, param: Path, binary: Path) -> None:
        """Load the two files.

        Raises:
            ConfigError: the package ncnn is missing, a file is missing or is something else, or the network
                has not one input and one output.
        """
        self._ncnn: Any = require("ncnn", KIND)
        self.param = param
        self.binary = binary
        self._network: Any = self._ncnn.Net()
        option = self._network.opt
        option.num_threads = 1
        option.use_vulkan_compute = False
        option.use_packing_layout = False
        for name in dir(option):
            if name.startswith(FOREIGN_PRECISION):
                setattr(option, name, False)
        for path, load in ((param, self._network.load_param), (binary, self._network.load_model)):
            if not path.is_file():
                raise ConfigError(f"{path}: no such file; a network in ncnn's format is a .param and a .bin")
            if load(str(path)) != 0:
                raise ConfigError(f"{path}: cannot be read as part of a network in ncnn's format")
        inputs, outputs = self._network.input_names(), self._network.output_names()
        if len(inputs) != 1 or len(outputs) != 1:
            raise ConfigError(
                f"{param}: {len(inputs)} inputs and {len(outputs)} outputs, wanted one picture in and one out"
            )
        self._input, self._output = inputs[0], outputs[0]

    def __call__(self, image: Tensor) -> Tensor:
        """float32 [3, H, W] in [0, 1], RGB -> float32 [C, H', W'], whatever the network makes of it.

        Raises:
            ConfigError: the network does not take such a picture.
        """
        pixels = np.ascontiguousarray(image.cpu().numpy(), dtype=np.float32)
        extractor = self._network.create_extractor()
        # The clone is ncnn's own memory with the alignment that its layers expect.
        extractor.input(self._input, self._ncnn.Mat(pixels).clone())
        status, made = extractor.extract(self._output)
        if status != 0:
            raise ConfigError(f"{self.param}: the network fails on a picture of {tuple(image.shape)}")
        return torch.from_numpy(np.array(made, dtype=np.float32))

    def __deepcopy__(self, memo: dict[int, Any]) -> "NcnnNetwork":
        return self

    def __reduce__(self) -> tuple[type["NcnnNetwork"], tuple[Path, Path]]:
        return type(self), (self.param, self.binary)
