"""Perceptual distances against the publications' formula, plain convolutions, and what a distance must do."""

from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vestige.errors import ConfigError
from vestige.nn.perceptual import PerceptualDistance, PerceptualKind, layer_distance
from vestige.nn.perceptual_trunks import BlurPool, BlurredConv, strided_conv
from vestige.nn.perceptual_weights import FILES, WEIGHTS_NOTES, available_kind, perceptual_distance

KINDS = get_args(PerceptualKind)
SMALL: list[PerceptualKind] = ["lpips-alex", "stlpips-alex"]
TRUNK_FILES = {"lpips-vgg": "vgg16-397923af.pth", "lpips-alex": "alexnet-owt-7be5be79.pth"}


@cache
def random_distance(kind: PerceptualKind) -> PerceptualDistance:
    torch.manual_seed(0)
    distance = PerceptualDistance(kind)
    for parameter in distance.features.parameters():
        # From PyTorch's deviation to He's, which keeps the activations' size through the layers.
        parameter.mul_(6**0.5 if parameter.dim() == 4 else 1)
    for weights in distance.weights:
        weights.copy_(torch.rand_like(weights) / len(weights))
    return distance


@pytest.fixture(scope="module")
def photographs() -> Tensor:
    datasets = pytest.importorskip("sklearn.datasets")
    crops = [image[100:420:5, 200:520:5] for image in datasets.load_sample_images().images]
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize("kind", KINDS)
def test_a_distance(kind: PerceptualKind, photographs: Tensor) -> None:
    distance = random_distance(kind)
    with torch.no_grad():
        same, forth, back = (
            distance(photographs, photographs),
            distance(photographs, photographs.flip(0)),
            distance(photographs.flip(0), photographs),
        )
    assert same.shape == forth.shape == (2,)
    assert (same == 0).all()
    assert (forth > 0).all()
    torch.testing.assert_close(forth, back)


@pytest.mark.parametrize("kind", SMALL)
def test_grows_with_noise_and_blur(kind: PerceptualKind, photographs: Tensor) -> None:
    distance = random_distance(kind)
    noise = torch.randn(photographs.shape, generator=torch.Generator().manual_seed(1))
    noisy = [(photographs + strength * noise).clamp(0, 1) for strength in (0.02, 0.05, 0.1)]
    blurred = [
        F.avg_pool2d(F.pad(photographs, (r, r, r, r), mode="reflect"), 2 * r + 1, 1) for r in (1, 2, 4)
    ]
    for series in (noisy, blurred):
        with torch.no_grad():
            found = torch.stack([distance(changed, photographs) for changed in series])
        assert (found.diff(dim=0) > 0).all()


@pytest.mark.parametrize("kind", SMALL)
def test_rows_are_independent_and_graphs_change_nothing(kind: PerceptualKind, photographs: Tensor) -> None:
    distance = random_distance(kind)
    other = photographs.roll(3, -1)
    with torch.no_grad():
        together = distance(photographs, other)
        alone = torch.cat([distance(photographs[i : i + 1], other[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(alone, together)
    moving = photographs.clone().requires_grad_()
    for a, b in ((moving, other), (other, moving), (moving, other.clone().requires_grad_())):
        torch.testing.assert_close(distance(a, b).detach(), together)


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_reaches_the_picture_and_not_the_trunk(kind: PerceptualKind, photographs: Tensor) -> None:
    distance = random_distance(kind)
    assert not distance.training
    a, b = photographs[:1].clone().requires_grad_(), photographs[1:]
    distance(a, b).sum().backward()
    assert a.grad is not None
    assert a.grad.isfinite().all()
    assert (a.grad != 0).any()
    assert all(not p.requires_grad and p.grad is None for p in distance.parameters())
    # A small step down the gradient makes the pictures more alike.
    with torch.no_grad():
        step = a - 0.05 * a.grad / a.grad.norm()
        assert distance(step, b) < distance(a, b)


def test_gradient_is_symmetric(photographs: Tensor) -> None:
    distance = random_distance("lpips-alex")
    first, second = (photographs.clone().requires_grad_() for _ in range(2))
    other = photographs.roll(3, -1)
    distance(first, other).sum().backward()
    distance(other, second).sum().backward()
    assert first.grad is not None
    assert second.grad is not None
    torch.testing.assert_close(first.grad, second.grad)


def test_places_without_activation_have_a_gradient() -> None:
    x = torch.zeros(1, 4, 2, 2, requires_grad=True)
    layer_distance(x.relu(), torch.rand(1, 4, 2, 2), torch.ones(4)).sum().backward()
    assert x.grad is not None
    assert (x.grad == 0).all()


def test_formula_on_one_layer() -> None:
    generator = torch.Generator().manual_seed(0)
    kernel = torch.randn(4, 3, 3, 3, generator=generator)
    a, b = (torch.rand(1, 3, 6, 5, generator=generator) for _ in range(2))
    weights = torch.rand(4, generator=generator)

    def by_hand(image: Tensor) -> np.ndarray:
        x, w = image[0].double().numpy(), kernel.double().numpy()
        found = np.empty((4, 4, 3))
        for i in range(4):
            for j in range(3):
                for c in range(4):
                    found[c, i, j] = max((x[:, i : i + 3, j : j + 3] * w[c]).sum(), 0)
        return found

    expected = 0.0
    for u, v in zip(by_hand(a).reshape(4, -1).T, by_hand(b).reshape(4, -1).T, strict=True):
        u, v = u / (np.sqrt((u**2).sum()) + 1e-10), v / (np.sqrt((v**2).sum()) + 1e-10)
        expected += (weights.double().numpy() * (u - v) ** 2).sum() / 12
    found = layer_distance(F.conv2d(a, kernel).relu(), F.conv2d(b, kernel).relu(), weights)
    np.testing.assert_allclose(found.numpy(), [expected], rtol=1e-5)


def test_layers_add_up_from_the_published_scaling(photographs: Tensor) -> None:
    distance = random_distance("lpips-alex")
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])

    def tapped(images: Tensor) -> list[Tensor]:
        x = (2 * images - 1 - shift.view(3, 1, 1)) / scale.view(3, 1, 1)
        found = []
        for layer in distance.features:
            x = layer(x.clone())
            if isinstance(layer, nn.ReLU):
                found.append(x)
        return found

    other = photographs.roll(3, -1)
    pairs = zip(tapped(photographs), tapped(other), distance.weights, strict=True)
    expected = sum(layer_distance(*pair) for pair in pairs)
    torch.testing.assert_close(distance(photographs, other), expected, rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("kind", "shapes"),
    [
        ("lpips-vgg", [(64, 64, 64), (128, 32, 32), (256, 16, 16), (512, 8, 8), (512, 4, 4)]),
        ("lpips-alex", [(64, 15, 15), (192, 7, 7), (384, 3, 3), (256, 3, 3), (256, 3, 3)]),
        ("stlpips-vgg", [(64, 64, 64), (128, 33, 33), (256, 17, 17), (512, 9, 9), (512, 5, 5)]),
        ("stlpips-alex", [(64, 30, 30), (192, 15, 15), (384, 8, 8), (256, 8, 8), (256, 8, 8)]),
    ],
)
def test_tapped_layers(kind: PerceptualKind, shapes: list[tuple[int, ...]]) -> None:
    """Sizes after the publications' layers on 64 pixels, by (size + padding - kernel) // stride + 1."""
    with torch.no_grad():
        found = PerceptualDistance(kind).activations(torch.rand(1, 3, 64, 64))
    assert [tuple(x.shape[1:]) for x in found] == shapes
    assert all((x >= 0).all() for x in found)


def test_blur_by_hand() -> None:
    x = np.random.default_rng(0).normal(size=(7, 6))
    padded = np.pad(x, 2, mode="reflect")
    kernel = np.outer([1, 2, 1], [1, 2, 1]) / 16
    expected = [[(padded[i : i + 3, j : j + 3] * kernel).sum() for j in (0, 2, 4, 6)] for i in range(0, 9, 2)]
    both = torch.from_numpy(np.stack([x, -x])).float()[None]
    np.testing.assert_allclose(BlurPool(2)(both)[0], [expected, np.negative(expected)], atol=1e-6)


@pytest.mark.parametrize("size", [(16, 16), (17, 17), (16, 19), (21, 18)])
def test_blurred_convolution_is_the_two_in_turn(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = BlurredConv(3, 5, 11).double()
    first, second = (torch.rand(2, 3, *size, dtype=torch.float64, requires_grad=True) for _ in range(2))
    second.data.copy_(first)
    found = layer(first)
    expected = BlurPool(5).double()(F.conv2d(second, layer.weight, layer.bias, padding=2))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-7)
    slope = torch.randn_like(found)
    gradients = torch.autograd.grad(found, first, slope), torch.autograd.grad(expected, second, slope)
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-7)


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (5, 4), (11, 11)])
def test_strided_convolution(kernel: tuple[int, int], stride: int) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(4, 3, *kernel, generator=generator)
    bias = torch.randn(4, generator=generator)
    for size in ((11, 11), (13, 16), (20, 15)):
        x = torch.randn(2, 3, *size, generator=generator)
        expected = F.conv2d(x, weight, bias, stride)
        torch.testing.assert_close(strided_conv(x, weight, bias, stride), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", SMALL)
def test_autocast_keeps_the_sum_in_float32(kind: PerceptualKind, photographs: Tensor) -> None:
    distance = random_distance(kind)
    other = (photographs + 0.05 * photographs.roll(1, -1)).clamp(0, 1)
    a = photographs.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        found = distance(a, other)
    assert found.dtype == torch.float32
    found.sum().backward()
    assert a.grad is not None
    assert a.grad.isfinite().all()
    torch.testing.assert_close(found, distance(a, other), rtol=0.05, atol=0)


def test_other_shapes_and_kinds_are_refused() -> None:
    distance = PerceptualDistance("lpips-alex")
    with pytest.raises(ValueError, match=r"\(2, 3, 64, 64\) with \(1, 3, 64, 64\)"):
        distance(torch.rand(2, 3, 64, 64), torch.rand(1, 3, 64, 64))
    with pytest.raises(ConfigError, match="no perceptual distance 'lpips-squeeze'; there are lpips-vgg"):
        PerceptualDistance("lpips-squeeze")  # type: ignore[arg-type]


def published(distance: PerceptualDistance) -> dict[str, dict[str, Tensor]]:
    """The state dicts that the publications would give to this network, by file name."""
    features = distance.features.state_dict()
    linear = {f"lin{i}.model.1.weight": w.view(1, -1, 1, 1) for i, w in enumerate(distance.weights)}
    name = distance.kind.split("-")[1]
    if distance.kind in TRUNK_FILES:
        trunk = {f"features.{key}": value for key, value in features.items()}
        return {
            TRUNK_FILES[distance.kind]: trunk | {"classifier.6.bias": torch.zeros(7)},
            f"{name}.pth": linear,
        }
    ends = distance.taps

    def part(key: str) -> int:
        return 1 + sum(int(key.split(".")[0]) > end for end in ends)

    trunk = {f"net.slice{part(key)}.{key}": value for key, value in features.items()}
    return {f"{name}_shift_tolerant.pth": trunk | linear | {"scaling_layer.shift": torch.zeros(1, 3, 1, 1)}}


def save(files: dict[str, dict[str, Tensor]], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, state in files.items():
        torch.save(state, folder / name)


@pytest.mark.parametrize("kind", KINDS)
def test_published_files_load(kind: PerceptualKind, tmp_path: Path) -> None:
    source = random_distance(kind)
    save(published(source), tmp_path / "below" / "v0.1")
    assert available_kind(tmp_path) == kind
    loaded = perceptual_distance(kind, tmp_path)
    for name, tensor in source.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_parts_of_the_published_trunk_are_the_tapped_ones() -> None:
    """Names read off the published shift-tolerant files."""
    assert {
        "net.slice1.0.weight",
        "net.slice2.5.weight",
        "net.slice3.9.bias",
        "net.slice4.11.weight",
        "net.slice5.13.weight",
    } <= set(published(PerceptualDistance("stlpips-alex"))["alex_shift_tolerant.pth"])
    assert {
        "net.slice1.2.weight",
        "net.slice2.6.weight",
        "net.slice3.16.bias",
        "net.slice5.32.weight",
    } <= set(published(PerceptualDistance("stlpips-vgg"))["vgg_shift_tolerant.pth"])


def test_the_faulty_version_is_passed_over(tmp_path: Path) -> None:
    source = random_distance("lpips-alex")
    files = published(source)
    save(files, tmp_path / "v0.1")
    save({"alex.pth": {name: x + 1 for name, x in files["alex.pth"].items()}}, tmp_path / "v0.0")
    assert torch.equal(perceptual_distance("lpips-alex", tmp_path).weights[0], source.weights[0])
    (tmp_path / "v0.1" / "alex.pth").unlink()
    with pytest.raises(ConfigError, match=r"no alex\.pth there.*lpips.*v0\.1"):
        perceptual_distance("lpips-alex", tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_files_are_named(kind: PerceptualKind, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"for {kind}; it comes from ") as caught:
        perceptual_distance(kind, tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert FILES[kind][0].pattern in str(caught.value)


def test_available_kind_lists_what_would_do(tmp_path: Path) -> None:
    save({"vgg.pth": {}}, tmp_path)
    with pytest.raises(ConfigError) as caught:
        available_kind(tmp_path)
    for word in (*KINDS, "vgg16-397923af.pth", "alexnet-owt-7be5be79.pth", "stlpips-pytorch"):
        assert word in str(caught.value)


def test_the_best_kind_is_taken(tmp_path: Path) -> None:
    for kind in reversed(KINDS):
        for file in FILES[kind]:
            (tmp_path / file.pattern.replace("*", "1")).touch()
        assert available_kind(tmp_path) == kind


def test_incomplete_weights_are_refused(tmp_path: Path) -> None:
    files = published(PerceptualDistance("stlpips-alex"))
    state = files["alex_shift_tolerant.pth"]
    path = tmp_path / "alex_shift_tolerant.pth"
    for name, tensor, wanted in (
        ("net.slice3.9.bias", None, r"features\.9\.bias \(384,\)"),
        ("net.slice3.9.bias", torch.zeros(3), r"features\.9\.bias \(384,\)"),
        ("lin4.model.1.weight", None, r"weights\.4 \(256,\)"),
    ):
        changed = {key: value for key, value in state.items() if key != name}
        torch.save(changed if tensor is None else changed | {name: tensor}, path)
        with pytest.raises(ConfigError, match=r"alex_shift_tolerant\.pth: not the weights wanted.*" + wanted):
            perceptual_distance("stlpips-alex", tmp_path)
    torch.save([1, 2], path)
    with pytest.raises(ConfigError, match="not the weights wanted"):
        perceptual_distance("stlpips-alex", tmp_path)
    path.write_bytes(b"junk")
    with pytest.raises(ConfigError, match="cannot be read as weights"):
        perceptual_distance("stlpips-alex", tmp_path)


def test_every_kind_has_a_note() -> None:
    assert set(WEIGHTS_NOTES) == set(FILES) == set(KINDS)
    assert all("BSD" in note and "\n" not in note for note in WEIGHTS_NOTES.values())
