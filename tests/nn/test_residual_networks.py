"""Residual networks against published counts and a plain re-derivation."""

import pytest
import torch
import torch.nn.functional as F

from vestige.nn.resnet import BasicBlock, ResNet


def test_parameter_count_of_the_published_resnet_18() -> None:
    network = ResNet((64, 128, 256, 512), (2, 2, 2, 2), stem=7)
    # The published network has 11,689,512 parameters; its classifier (512 x 1000 and bias) is not here.
    assert sum(p.numel() for p in network.parameters()) == 11_689_512 - 513_000 == 11_176_512
    assert network.width == 512


def test_parameter_count_of_the_published_resnet_34() -> None:
    network = ResNet((64, 128, 256, 512), (3, 4, 6, 3), stem=7)
    assert sum(p.numel() for p in network.parameters()) == 21_797_672 - 513_000


@pytest.mark.parametrize("stem", [3, 7])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 96), (33, 47)])
def test_each_stage_but_the_first_halves(stem: int, height: int, width: int) -> None:
    network = ResNet((4, 6, 8), (1, 2, 1), stem).eval()
    shapes: list[tuple[int, ...]] = []
    for block in network.stages:
        block.register_forward_hook(lambda *given: shapes.append(tuple(given[2].shape)))
    with torch.inference_mode():
        found = network(torch.rand(2, 3, height, width))

    def half(side: int) -> int:
        return -(-side // 2)

    sides = (half(half(height)), half(half(width)))
    expected = [(2, 4, *sides)]
    sides = (half(sides[0]), half(sides[1]))
    expected += [(2, 6, *sides)] * 2
    sides = (half(sides[0]), half(sides[1]))
    expected += [(2, 8, *sides)]
    assert shapes == expected
    assert found.shape == (2, 8)


@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(6, 6, 1), (6, 8, 1), (6, 6, 2), (6, 8, 2)])
def test_block_arithmetic(inputs: int, outputs: int, stride: int) -> None:
    torch.manual_seed(0)
    block = BasicBlock(inputs, outputs, stride).eval()
    for name, buffer in block.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_()
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    state = block.state_dict()

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        mean, variance, gain, offset = (
            state[f"{name}.{key}"].view(1, -1, 1, 1)
            for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * gain + offset

    x = torch.randn(2, inputs, 10, 8)
    h = norm(F.conv2d(x, state["conv1.weight"], stride=stride, padding=1), "norm1").clamp(min=0)
    h = norm(F.conv2d(h, state["conv2.weight"], padding=1), "norm2")
    past = x
    if stride != 1 or inputs != outputs:
        taken = torch.einsum("oi,bihw->bohw", state["past.0.weight"][:, :, 0, 0], x[..., ::stride, ::stride])
        past = norm(taken, "past.1")
    with torch.inference_mode():
        torch.testing.assert_close(block(x), (h + past).clamp(min=0), atol=1e-5, rtol=1e-5)


def test_one_number_of_blocks_for_each_stage() -> None:
    with pytest.raises(ValueError, match="zip"):
        ResNet((8, 16), (1, 1, 1))
