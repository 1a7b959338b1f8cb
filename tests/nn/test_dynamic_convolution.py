"""Dynamic convolution against explicit loops and against its own second form."""

from typing import get_args

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vestige.nn.dynamic_conv import SLOPE, ConvolutionalRouter, DynamicConv2d, PooledRouter, Router

ROUTERS = get_args(Router)
CHANNELS = 5


def build(router: Router = "pooled", mix: str = "kernels", kernels: int = 4, size: int = 3) -> DynamicConv2d:
    torch.manual_seed(0)
    return DynamicConv2d(CHANNELS, kernels, router, mix, size)


def leaky(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(x > 0, x, SLOPE * x)


def linear(layer: nn.Module, x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return x @ layer.weight.detach().double().numpy().T + layer.bias.detach().double().numpy()


def convolve(
    picture: npt.NDArray[np.float64],
    kernel: npt.NDArray[np.float64],
    bias: npt.NDArray[np.float64],
    stride: int = 1,
) -> npt.NDArray[np.float64]:
    """[C, H, W] with [O, C, 3, 3], padded by 1, window by window."""
    padded = np.pad(picture, ((0, 0), (1, 1), (1, 1)))
    rows = range(0, picture.shape[1], stride)
    columns = range(0, picture.shape[2], stride)
    found = np.empty((len(kernel), len(rows), len(columns)))
    for filter_, (weight, shift) in enumerate(zip(kernel, bias, strict=True)):
        for i, top in enumerate(rows):
            for j, left in enumerate(columns):
                window = padded[:, top : top + 3, left : left + 3]
                found[filter_, i, j] = (window * weight).sum() + shift
    return found


def by_hand(layer: DynamicConv2d, x: Tensor) -> npt.NDArray[np.float64]:
    """The paper's equation in float64: a kernel for each sample and each filter."""
    weight, bias = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
    found = []
    for picture in x.detach().double().numpy():
        seen, mixer = picture, layer.router
        if isinstance(layer.router, ConvolutionalRouter):
            for convolution in (layer.router.layers[0], layer.router.layers[2]):
                kernel = convolution.weight.detach().double().numpy()
                shift = convolution.bias.detach().double().numpy()
                seen = leaky(convolve(seen, kernel, shift, stride=2))
            mixer = layer.router.mixer
        pooled = np.array([channel.mean() for channel in seen])
        shares = linear(mixer.layers[2], leaky(linear(mixer.layers[0], pooled)))
        kernel, shift = np.zeros_like(weight[0]), np.zeros_like(bias[0])
        for base in range(layer.kernels):
            for filter_ in range(layer.channels):
                share = shares[base * layer.channels + filter_]
                kernel[filter_] += share * weight[base, filter_]
                shift[filter_] += share * bias[base, filter_]
        found.append(convolve(picture, kernel, shift))
    return np.stack(found)


@pytest.mark.parametrize("router", ROUTERS)
@pytest.mark.parametrize("mix", ["kernels", "outputs"])
def test_values_by_hand(router: Router, mix: str) -> None:
    layer = build(router, mix)
    x = torch.randn(3, CHANNELS, 6, 7)
    with torch.inference_mode():
        found = layer(x)
    assert found.shape == x.shape
    np.testing.assert_allclose(found.numpy(), by_hand(layer, x), atol=1e-5)


@pytest.mark.parametrize("router", ROUTERS)
@pytest.mark.parametrize("size", [1, 3, 5])
def test_mixing_kernels_is_mixing_outputs(router: Router, size: int) -> None:
    kernels, outputs = (build(router, mix, size=size).double() for mix in ("kernels", "outputs"))
    outputs.load_state_dict(kernels.state_dict())
    x = torch.randn(4, CHANNELS, 9, 8, dtype=torch.float64)
    gradients = []
    for layer in (kernels, outputs):
        images = x.clone().requires_grad_()
        found = layer(images)
        found.sin().sum().backward()  # a loss with a gradient of its own at every place
        gradients.append((found.detach(), images.grad, *(p.grad for p in layer.parameters())))
    for one, other in zip(*gradients, strict=True):
        assert one is not None
        assert one.abs().max() > 0
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("router", ROUTERS)
def test_mixing_agrees_to_rounding_in_float32(router: Router) -> None:
    kernels, outputs = build(router, "kernels"), build(router, "outputs")
    outputs.load_state_dict(kernels.state_dict())
    x = torch.randn(8, CHANNELS, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(kernels(x), outputs(x), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("mix", ["kernels", "outputs"])
def test_one_kernel_with_weight_one_is_a_plain_convolution(mix: str) -> None:
    layer = build(mix=mix, kernels=1)
    last = layer.router.layers[-1]
    nn.init.zeros_(last.weight)
    nn.init.ones_(last.bias)
    plain = nn.Conv2d(CHANNELS, CHANNELS, 3, 1, 1)
    plain.weight.data.copy_(layer.weight[0])
    plain.bias.data.copy_(layer.bias[0])
    x = torch.randn(3, CHANNELS, 10, 11)
    with torch.inference_mode():
        torch.testing.assert_close(layer(x), plain(x), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("mix", ["kernels", "outputs"])
@pytest.mark.parametrize("router", ROUTERS)
def test_images_of_a_batch_do_not_mix(router: Router, mix: str) -> None:
    layer = build(router, mix)
    x = torch.randn(4, CHANNELS, 8, 8)
    with torch.inference_mode():
        together = layer(x)
        alone = torch.cat([layer(image[None]) for image in x])
        torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
        # The kernel depends on the input: twice the input is not twice the output.
        assert (layer(2 * x) - 2 * layer(x)).abs().max() > 0.01


@pytest.mark.parametrize("router", ROUTERS)
def test_gradient_reaches_every_base_kernel(router: Router) -> None:
    layer = build(router)
    layer(torch.randn(2, CHANNELS, 8, 8)).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert (layer.weight.grad.abs().flatten(2).amax(2) > 0).all()
    assert (layer.bias.grad != 0).all()


@pytest.mark.parametrize("router", ROUTERS)
def test_parameter_count(router: Router) -> None:
    c, k = 6, 4
    mixer = c * c + c + c * k * c + k * c
    convolutions = 2 * (9 * c * c + c) if router == "convolutional" else 0
    layer = DynamicConv2d(c, k, router)
    assert sum(p.numel() for p in layer.parameters()) == k * (9 * c * c + c) + mixer + convolutions


def test_base_kernels_start_apart_and_like_those_of_a_plain_convolution() -> None:
    torch.manual_seed(0)
    layer = DynamicConv2d(64, 4)
    bound = (64 * 9) ** -0.5
    assert layer.weight.abs().max() <= bound
    assert layer.bias.abs().max() <= bound
    for kernel in layer.weight.detach():
        assert float(kernel.std()) == pytest.approx(bound / 3**0.5, rel=0.05)  # uniform within the bound
    pairs = [(a, b) for a in range(4) for b in range(a)]
    assert all((layer.weight[a] - layer.weight[b]).abs().mean() > bound / 10 for a, b in pairs)
    # At the start the mixed kernel is about as strong as one of its parts.
    x = torch.randn(16, 64, 8, 8)
    with torch.inference_mode():
        plain = F.conv2d(x, layer.weight[0], layer.bias[0], padding=1)
        assert float(layer(x).std()) == pytest.approx(float(plain.std()), rel=0.3)


@pytest.mark.parametrize("mix", ["kernels", "outputs"])
@pytest.mark.parametrize("router", ROUTERS)
def test_runs_in_mixed_precision(router: Router, mix: str) -> None:
    layer = build(router, mix)
    x = torch.randn(2, CHANNELS, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), layer(x).detach(), atol=0.05, rtol=0.05, check_dtype=False)
    found.float().sum().backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == torch.float32


def test_pooled_router_sees_means_alone() -> None:
    torch.manual_seed(0)
    router = PooledRouter(3, 7)
    x = torch.randn(2, 3, 4, 4)
    shuffled = x.flatten(2)[..., torch.randperm(16)].view_as(x)
    with torch.inference_mode():
        torch.testing.assert_close(router(x), router(shuffled))
        assert router(x).shape == (2, 7)
