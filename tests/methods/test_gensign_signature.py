"""What the GenSign stream sees: forms, filters, files, export."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from safetensors.torch import save_model
from torch import Tensor, nn

from vestige.errors import ConfigError
from vestige.methods.gensign.extractor import Extractor, ExtractorConfig
from vestige.methods.gensign.signature import Signature, SignatureConfig, load_extractor_weights

TINY = ExtractorConfig(width=8, blocks=1, groups=4)
TINY_HALF = ExtractorConfig(width=8, blocks=1, groups=4, stem_stride=2)
ALL = [
    SignatureConfig(source="extractor", form="fraction", extractor=TINY),
    SignatureConfig(source="extractor", form="plain", extractor=TINY_HALF, scale=2),
    SignatureConfig(source="denoiser", form="plain", extractor=TINY),
    SignatureConfig(source="srm"),
]


def build(config: SignatureConfig) -> Signature:
    torch.manual_seed(0)
    return Signature(config).eval()


def constant(config: SignatureConfig, residual: float) -> Signature:
    """A signature whose extractor says the same everywhere."""
    signature = build(config)
    assert signature.extractor is not None
    nn.init.zeros_(signature.extractor.last.weight)
    nn.init.constant_(signature.extractor.last.bias, residual)
    return signature


def label(config: SignatureConfig) -> str:
    return f"{config.source}-{config.form}"


@pytest.mark.parametrize("config", ALL, ids=label)
@pytest.mark.parametrize("size", [(3, 5), (32, 32), (33, 20)])
def test_size_is_kept(config: SignatureConfig, size: tuple[int, int]) -> None:
    signature = build(config)
    with torch.inference_mode():
        found = signature(torch.rand(2, 3, *size))
    assert found.shape == (2, signature.channels, *size)
    assert found.dtype == torch.float32
    assert found.isfinite().all()


@pytest.mark.parametrize("config", ALL, ids=label)
def test_images_of_a_batch_do_not_mix(config: SignatureConfig) -> None:
    signature = build(config)
    images = torch.rand(3, 3, 21, 18)
    with torch.inference_mode():
        together = signature(images).numpy()
        alone = np.concatenate([signature(image[None]).numpy() for image in images])
    assert distance(together, alone, config).max() < 1e-4


def distance(one: np.ndarray, other: np.ndarray, config: SignatureConfig) -> np.ndarray:
    """Absolute difference; of fractions around the circle, since rounding may carry one over the jump."""
    plain = np.abs(one - other)
    if config.source == "srm" or config.form == "plain":
        return plain
    return np.minimum(plain, 1 - plain)


@pytest.mark.parametrize("config", ALL, ids=label)
@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
def test_flat_pictures(config: SignatureConfig, grey: float) -> None:
    with torch.inference_mode():
        found = build(config)(torch.full((1, 3, 16, 16), grey))
    assert found.isfinite().all()
    if config.source == "srm":
        assert found.abs().max() < 1e-4


def test_fraction_is_the_residual_modulo_one() -> None:
    config = SignatureConfig(form="fraction", extractor=TINY, scale=3)  # the scale is none of its business
    signature = build(config)
    assert signature.extractor is not None
    nn.init.normal_(signature.extractor.last.weight, std=0.5)  # residuals over several whole numbers
    images = torch.rand(2, 3, 16, 16)
    with torch.inference_mode():
        residual = signature.extractor(images).numpy()
        found = signature(images).numpy()
    assert residual.min() < -1
    assert residual.max() > 1
    assert found.min() >= 0
    assert found.max() <= 1
    np.testing.assert_allclose(found, np.mod(residual.astype(np.float64), 1), atol=1e-6)


@pytest.mark.parametrize(
    ("residual", "fraction"), [(0.01, 0.01), (-0.01, 0.99), (1.25, 0.25), (-1.25, 0.75), (-1e-9, 1.0)]
)
def test_fraction_jumps_at_whole_numbers(residual: float, fraction: float) -> None:
    with torch.inference_mode():
        found = constant(SignatureConfig(form="fraction", extractor=TINY), residual)(torch.rand(1, 3, 8, 8))
    torch.testing.assert_close(found, torch.full((1, 3, 8, 8), fraction), atol=1e-6, rtol=0)


def test_plain_is_the_residual_times_the_scale() -> None:
    signature = build(SignatureConfig(form="plain", extractor=TINY, scale=5))
    assert signature.extractor is not None
    images = torch.rand(2, 3, 16, 16)
    with torch.inference_mode():
        expected = signature.extractor(images).numpy() * 5
        np.testing.assert_allclose(signature(images).numpy(), expected, rtol=1e-6)


def test_fraction_keeps_its_digits_in_bfloat16() -> None:
    signature = constant(SignatureConfig(form="fraction", extractor=TINY), -0.001)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        found = signature(torch.rand(1, 3, 8, 8))
    torch.testing.assert_close(found, torch.full((1, 3, 8, 8), 0.999), atol=1e-5, rtol=0)


KERNELS = [  # Zhou et al. (2018)
    np.pad(np.array([[-1, 2, -1], [2, -4, 2], [-1, 2, -1]]), 1) / 4,
    np.array(
        [[-1, 2, -2, 2, -1], [2, -6, 8, -6, 2], [-2, 8, -12, 8, -2], [2, -6, 8, -6, 2], [-1, 2, -2, 2, -1]]
    )
    / 12,
    np.pad(np.array([[0, 0, 0], [1, -2, 1], [0, 0, 0]]), 1) / 2,
]


def srm_by_loops(image: np.ndarray) -> np.ndarray:
    """[3, H, W] in [0, 1] -> [3, H, W]."""
    grey = np.pad((image[0] + image[1] + image[2]) / 3 * 255, 2, mode="reflect")
    height, width = image.shape[1:]
    sums = [
        [[(grey[i : i + 5, j : j + 5] * kernel).sum() for j in range(width)] for i in range(height)]
        for kernel in KERNELS
    ]
    return np.clip(np.array(sums), -3, 3) / 3


@pytest.mark.parametrize("contrast", [2 / 255, 1.0])
def test_srm_by_loops(contrast: float) -> None:
    image = 0.5 + contrast * (np.random.default_rng(0).random((3, 13, 10)) - 0.5)
    expected = srm_by_loops(image)
    truncated = np.abs(expected) == 1
    assert truncated.any() == (contrast == 1)
    assert not truncated.all()
    signature = build(SignatureConfig(source="srm"))
    images = torch.from_numpy(image)[None].float()
    with torch.inference_mode():
        np.testing.assert_allclose(signature(images)[0].numpy(), expected, atol=1e-4)
        with torch.autocast("cpu", torch.bfloat16):
            np.testing.assert_allclose(signature(images)[0].numpy(), expected, atol=1e-4)


def test_changing_the_source_is_enough() -> None:
    images = torch.rand(1, 3, 16, 16)
    one, other = (
        build(SignatureConfig(source="srm", form=form, scale=scale, extractor=TINY))
        for form, scale in (("fraction", 1), ("plain", 9))
    )
    assert torch.equal(one(images), other(images))
    assert one.extractor is None
    learned, denoiser = (build(SignatureConfig(source=s, extractor=TINY)) for s in ("extractor", "denoiser"))
    assert torch.equal(learned(images), denoiser(images))


@pytest.mark.parametrize("config", ALL, ids=label)
def test_nothing_is_trained(config: SignatureConfig) -> None:
    assert not any(parameter.requires_grad for parameter in build(config).parameters())


def test_saved_extractors_load(tmp_path: Path) -> None:
    source, target = Extractor(TINY), Extractor(TINY)
    save_model(source, str(tmp_path / "a.safetensors"))
    load_extractor_weights(target, tmp_path / "a.safetensors")
    assert all(torch.equal(one, target.state_dict()[name]) for name, one in source.state_dict().items())


@pytest.mark.parametrize(
    ("saved", "complaint"),
    [
        (ExtractorConfig(width=8, blocks=2, groups=4), r"blocks\.1\.layers\.0\.bias is superfluous.*5 more"),
        (ExtractorConfig(width=4, blocks=1, groups=4), r"stem\.0\.weight is \(4, 3, 3, 3\) instead of \(8,"),
        (TINY_HALF, r"last\.weight is \(12, 8, 3, 3\) instead of \(3, 8, 3, 3\)"),
    ],
)
def test_extractors_of_other_sizes_are_refused(
    saved: ExtractorConfig, complaint: str, tmp_path: Path
) -> None:
    save_model(Extractor(saved), str(tmp_path / "a.safetensors"))
    network = Extractor(TINY)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(ConfigError, match=r"a\.safetensors: not an extractor of the sizes configured") as got:
        load_extractor_weights(network, tmp_path / "a.safetensors")
    assert got.match(complaint)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_missing_tensors_are_named(tmp_path: Path) -> None:
    save_model(Extractor(TINY), str(tmp_path / "a.safetensors"))
    with pytest.raises(ConfigError, match=r"blocks\.1\.layers\.0\.weight is missing.* and 5 more"):
        load_extractor_weights(Extractor(TINY.model_copy(update={"blocks": 2})), tmp_path / "a.safetensors")


@pytest.mark.parametrize("content", [b"", b"junk", b"\xff" * 64, None])
def test_other_files_are_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"a\.safetensors: cannot be read as extractor weights"):
        load_extractor_weights(Extractor(TINY), path)
    with pytest.raises(ConfigError, match="cannot be read as extractor weights"):
        load_extractor_weights(Extractor(TINY), tmp_path)


def noise(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("config", ALL, ids=label)
def test_export_with_free_sizes(config: SignatureConfig, tmp_path: Path) -> None:
    signature = build(config)
    sides = {2: torch.export.Dim("height", min=16, max=4096), 3: torch.export.Dim("width", min=16, max=4096)}
    program = torch.onnx.export(
        signature,
        (noise(2, 3, 32, 40),),
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=64), **sides},),
        input_names=["images"],
        opset_version=18,
        verbose=False,
    )
    assert program is not None
    program.save(str(tmp_path / "a.onnx"), external_data=False)
    session = onnxruntime.InferenceSession(str(tmp_path / "a.onnx"))
    for batch in (1, 3):
        for size in ((48, 32), (57, 33)):
            some = noise(batch, 3, *size)
            with torch.inference_mode():
                expected = signature(some).numpy()
            (found,) = session.run(None, {"images": some.numpy()})
            assert found.shape == expected.shape
            assert distance(found, expected, config).max() < 1e-4
            assert (np.abs(found - expected) > 0.5).mean() < 1e-3
