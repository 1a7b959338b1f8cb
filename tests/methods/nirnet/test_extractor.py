"""NIRNet's extractor and encoder: the constraint, places of patches, counts, the exported graph."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from vestige.methods.nirnet.extractor import (
    ConstrainedConv,
    ExtractorOptions,
    ImprintExtractor,
    NoiseEncoder,
    reach,
)
from vestige.methods.nirnet.frequency import FrequencyOptions, FrequencyStatistics
from vestige.training.packaging import write_onnx

torch.set_num_threads(1)

TINY = ExtractorOptions(filters=6, width=8, blocks=1)


def build(options: ExtractorOptions = TINY) -> ImprintExtractor:
    """With layers that do something, also those that begin at zero."""
    torch.manual_seed(0)
    network = ImprintExtractor(options).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.reset_parameters()
    return network


def require_constraint(layer: ConstrainedConv) -> None:
    kernels = layer.kernels().detach().double().numpy()
    centre = kernels.shape[-1] // 2
    np.testing.assert_array_equal(kernels[:, :, centre, centre], -1)
    np.testing.assert_allclose(kernels.sum((2, 3)), 0, atol=1e-6)


@pytest.mark.parametrize("optimiser", [torch.optim.SGD, torch.optim.Adam])
def test_constraint_outlives_steps(optimiser: type[torch.optim.Optimizer]) -> None:
    torch.manual_seed(0)
    layer = ConstrainedConv(6, 5)
    require_constraint(layer)
    before = layer.kernels().detach().clone()
    steps = optimiser(layer.parameters(), lr=0.5)  # type: ignore[call-arg]
    for _ in range(3):
        steps.zero_grad()
        layer(torch.rand(2, 3, 12, 12)).sin().sum().backward()
        steps.step()
        require_constraint(layer)
    assert (layer.kernels() - before).abs().max() > 0.1


def test_kernels_are_the_nearest_that_obey() -> None:
    torch.manual_seed(0)
    layer = ConstrainedConv(3, 3)
    kernel = layer.kernels()[0, 0].detach().double().numpy()
    moved = (kernel - layer.weight[0, 0].detach().double().numpy()).ravel()
    # The shortest way to the plane "sum = 1" is along its normal: the same everywhere but at the centre.
    np.testing.assert_allclose(np.delete(moved, 4), moved[0], atol=1e-6)


def test_each_filter_predicts_one_colour() -> None:
    layer = ConstrainedConv(6, 3)
    images = np.random.default_rng(0).random((3, 5, 6))
    found = layer(torch.from_numpy(images[None]).float())[0].detach().numpy()
    kernels = layer.kernels().detach().numpy()
    assert found.shape == (6, 3, 4)
    for number in range(6):
        for row in range(3):
            for column in range(4):
                window = images[number // 2, row : row + 3, column : column + 3]
                expected = (window * kernels[number, 0]).sum()
                assert found[number, row, column] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("colour", [(0.0, 0.0, 0.0), (0.2, 0.7, 0.4), (1.0, 1.0, 1.0)])
def test_flat_pictures_leave_nothing(colour: tuple[float, ...]) -> None:
    network = build()
    images = torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, 15, 18)
    with torch.inference_mode():
        assert network.residual(images).abs().max() < 1e-4  # borders too; times 16


def test_begins_as_the_mean_prediction_error() -> None:
    torch.manual_seed(0)
    network = ImprintExtractor(TINY)
    images = torch.rand(2, 3, 9, 12)
    with torch.inference_mode():
        found = network(images)
        residual = network.residual(images)[..., :9, :12]
    expected = residual.unflatten(1, (3, 2)).mean(2)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_learns_from_the_first_steps() -> None:
    torch.manual_seed(0)
    network = ImprintExtractor(TINY)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    steps = torch.optim.Adam(network.parameters(), lr=1e-2)
    images, target = torch.rand(4, 3, 16, 16), torch.rand(4, 3, 16, 16)
    for _ in range(4):
        steps.zero_grad()
        (network(images) - target).square().mean().backward()
        steps.step()
    assert all(not torch.equal(parameter, before[name]) for name, parameter in network.named_parameters())


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (7, 9), (16, 16), (33, 20)])
def test_any_size(size: tuple[int, int]) -> None:
    with torch.inference_mode():
        found = build()(torch.rand(2, 3, *size))
    assert found.shape == (2, 3, *size)
    assert found.isfinite().all()


@pytest.mark.parametrize(
    "options", [TINY, ExtractorOptions(filters=3, width=4, blocks=2), TINY.model_copy(update={"kernel": 3})]
)
def test_reach_is_where_the_gradient_is(options: ExtractorOptions) -> None:
    network = build(options)
    farthest = 0
    for place in (30, 31):
        images = torch.rand(1, 3, 62, 62, requires_grad=True)
        network(images)[0, :, place, place].sum().backward()
        assert images.grad is not None
        rows, columns = images.grad.abs().sum((0, 1)).nonzero().unbind(1)
        for where in (rows, columns):
            # Pixels of a folded cell see the same cells: each sees one pixel less to one side.
            assert where.max() - where.min() + 1 == 2 * reach(options)
            farthest = max(farthest, int((where - place).abs().max()))
    assert farthest == reach(options)


def test_size_of_the_default() -> None:
    # Folded 12 -> 48 channels; six convolutions of 3 x 3 at half the resolution see 13 pixels, and 2 before.
    assert reach(ExtractorOptions()) == 15


@pytest.mark.parametrize(("top", "left"), [(0, 0), (10, 14), (24, 6)])
def test_a_patch_says_what_the_picture_says(top: int, left: int) -> None:
    network, side, margin = build(), 40, reach(TINY)
    picture = torch.rand(1, 3, 70, 63)
    with torch.inference_mode():
        whole = network(picture)[..., top : top + side, left : left + side]
        patch = network(picture[..., top : top + side, left : left + side])
    inside = (..., slice(margin, -margin), slice(margin, -margin))
    torch.testing.assert_close(patch[inside], whole[inside], atol=1e-5, rtol=1e-5)
    assert (patch - whole).abs().max() > 1e-3, "borders must differ, or nothing was tested"


def test_bfloat16_keeps_what_the_high_pass_leaves() -> None:
    network = build()
    # Half a grey level of noise on bright grey, which bfloat16 rounds away.
    images = 0.9 + torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)) / 510
    with torch.inference_mode():
        exact = network(images)
        with torch.autocast("cpu", torch.bfloat16):
            found = network(images).float()
            torch.testing.assert_close(network.residual(images), network.residual(images.clone()))
    assert (found - exact).square().mean() < 1e-3 * exact.var()


def test_multiplications_of_the_default() -> None:
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        ImprintExtractor(ExtractorOptions())(torch.zeros(1, 3, 128, 128))
    full, half = 128**2, 64**2
    expected = full * 12 * 25 + full * 12 * 3 + half * 9 * (48 * 32 + 4 * 32 * 32 + 32 * 12)
    assert counter.get_total_flops() == 2 * expected
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        NoiseEncoder().eval()(torch.zeros(1, 3, 128, 128))
    assert 40e6 < counter.get_total_flops() / 2 < 60e6


def test_encoder_sums_up_over_the_places() -> None:
    torch.manual_seed(0)
    encoder = NoiseEncoder(8).eval()
    imprint = torch.randn(2, 3, 32, 32)
    with torch.inference_mode():
        found = encoder(imprint).numpy()
        maps = encoder.layers(imprint).double().numpy()
    assert maps.shape == (2, 8, 4, 4)
    assert encoder.width == 16
    expected = np.concatenate([maps.mean((2, 3)), maps.std((2, 3))], 1)
    np.testing.assert_allclose(found, np.maximum(expected, [0] * 8 + [1e-4] * 8), atol=1e-5)


def test_encoder_is_float32_under_autocast() -> None:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert NoiseEncoder(8).eval()(torch.randn(1, 3, 32, 32)).dtype == torch.float32


class Everything(nn.Module):
    """What NIRNet exports of this folder."""

    def __init__(self) -> None:
        super().__init__()
        self.extractor, self.encoder = build(), NoiseEncoder(8)
        self.frequency = FrequencyStatistics(FrequencyOptions())

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([self.encoder(self.extractor(images)), self.frequency(images)], 1)


def test_exported_graph_agrees(tmp_path: Path) -> None:
    network, path = Everything().eval(), tmp_path / "model.onnx"
    batch = torch.export.Dim("batch", min=1)
    write_onnx(network, torch.rand(2, 3, 64, 64), path, "images", ["features"], {0: batch})
    session = onnxruntime.InferenceSession(path)
    images = torch.rand(3, 3, 64, 64)
    with torch.inference_mode():
        expected = network(images).numpy()
    (found,) = session.run(None, {"images": images.numpy()})
    np.testing.assert_allclose(found, expected, atol=1e-4, rtol=1e-4)


def test_exported_extractor_takes_any_size(tmp_path: Path) -> None:
    network, path = build(), tmp_path / "extractor.onnx"
    free = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    write_onnx(network, torch.rand(2, 3, 31, 46), path, "images", ["imprint"], free)
    session = onnxruntime.InferenceSession(path)
    for size in ((31, 46), (24, 17), (40, 40)):
        images = torch.rand(1, 3, *size)
        with torch.inference_mode():
            expected = network(images).numpy()
        (found,) = session.run(None, {"images": images.numpy()})
        np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"filters": 10}, "multiple of 3"),
        ({"kernel": 4}, r"kernel \(4\) must be odd"),
        ({"depth": 3}, "depth"),
        ({"scale": 0}, "scale"),
    ],
)
def test_options_that_do_not_fit_are_refused(options: dict[str, int], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        ExtractorOptions.model_validate(options)
