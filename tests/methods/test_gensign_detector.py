"""GenSign's two streams: what each sees, what is trained, where weights come from, export."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from safetensors.torch import save_file, save_model
from torch import Tensor, nn

from vestige.errors import ConfigError
from vestige.methods.gensign.extractor import Extractor, ExtractorConfig
from vestige.methods.gensign.model import GenSign, GenSignConfig, build
from vestige.nn.efficientnet import EfficientNetB0, load_b0
from vestige.nn.efficientnet_lite import EfficientNetLite0
from vestige.training.export import write_graph

# PyTorch's threads spin while they wait for each other: on a busy machine that costs minutes.
torch.set_num_threads(1)

WIDTH = 32
TOWER = {
    "width": WIDTH,
    "layers": 2,
    "heads": 2,
    "feed_forward": 64,
    "patch": 16,
    "image": 64,
    "projection": 16,
}
RGB: dict[str, Any] = {"tower": TOWER, "lora": {"layers": 1}}
TINY = ExtractorConfig(width=8, blocks=1, groups=4)
SIGNATURE: dict[str, Any] = {"extractor": TINY, "form": "plain", "block": 1}
BLOCK_1 = 24  # channels
COMBINATIONS: dict[str, dict[str, Any]] = {
    "both": {"rgb": RGB, "signature": SIGNATURE},
    "rgb": {"rgb": RGB, "signature": None},
    "signature": {"rgb": None, "signature": SIGNATURE},
    "tuned as a whole": {"rgb": {"tower": {**TOWER, "layers": 1}}, "signature": None},
    "untuned": {"rgb": {"tower": TOWER, "lora": None, "output": "projected"}, "signature": None},
    "srm": {"rgb": None, "signature": {"source": "srm", "block": 1, "side": 32}},
}


@pytest.fixture(params=COMBINATIONS)
def network(request: pytest.FixtureRequest) -> GenSign:
    return make(**COMBINATIONS[request.param])


def make(**options: Any) -> GenSign:
    torch.manual_seed(0)
    return build(GenSignConfig.model_validate({"width": 8, **options}), None).eval()


def images(count: int = 3, side: int = 96, seed: int = 0) -> Tensor:
    levels = torch.randint(0, 256, (count, 3, side, side), generator=torch.Generator().manual_seed(seed))
    return levels.float() / 255


def test_one_logit_per_picture(network: GenSign) -> None:
    with torch.inference_mode():
        features = network.frozen(images())
        output = network.head(*features)
        seen = network.embed(*features)
        torch.testing.assert_close(output.logit, network.linear(seen)[:, 0])
    assert output.map is None
    assert output.logit.shape == (3,)
    assert seen.shape == (3, network.linear.in_features)
    assert [len(tensor) for tensor in features] == [3] * len(network.parts())


def test_pictures_of_a_batch_do_not_meet(network: GenSign) -> None:
    with torch.inference_mode():
        together = network(images()).logit
        alone = torch.cat([network(image[None]).logit for image in images()])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


def test_streams_side_by_side() -> None:
    network = make(**COMBINATIONS["both"])
    assert network.fuse.in_features == WIDTH + BLOCK_1
    assert network.rgb is not None
    assert network.signature is not None
    with torch.inference_mode():
        hidden, signature = network.frozen(images())
        assert (hidden.shape, signature.shape) == ((3, 17, WIDTH), (3, 3, 96, 96))
        both = torch.cat([network.rgb(hidden), network.signature(signature)], 1)
        fused = both @ network.fuse.weight.T + network.fuse.bias
        torch.testing.assert_close(
            network.embed(hidden, signature), torch.where(fused < 0, 0.2 * fused, fused), atol=1e-5, rtol=1e-5
        )


def test_paper_as_far_as_the_defaults_go() -> None:
    config = GenSignConfig()
    assert config.width == 256
    assert config.rgb is not None
    assert config.rgb.lora is not None
    assert config.rgb.first_tuned() == 0
    assert (config.rgb.lora.rank, config.rgb.lora.alpha, config.rgb.lora.dropout) == (4, 4, 0.1)


def test_only_the_middle_is_looked_at() -> None:
    network = make(rgb=None, signature={**SIGNATURE, "side": 64})
    one = images(1)
    other = one.clone()
    other[..., :16, :] = 0  # 96 pixels leave 16 on each side
    other[..., 80:] = 1
    with torch.inference_mode():
        assert network.frozen(one)[0].shape == (1, 3, 64, 64)
        assert torch.equal(network(one).logit, network(other).logit)
        other[..., 79] = 1
        assert not torch.equal(network(one).logit, network(other).logit)
        assert network.frozen(images(1, 32))[0].shape == (1, 3, 32, 32), "a view that is smaller"


def test_flat_pictures_lose_no_digits_where_channels_come_last() -> None:
    network = make(rgb=None, signature=SIGNATURE)
    flat = torch.full((2, 3, 64, 64), 128 / 255)
    with torch.inference_mode():
        found = network.frozen(flat.contiguous(memory_format=torch.channels_last))[0]
        torch.testing.assert_close(found, network.frozen(flat)[0])


def test_descriptions_tell_signatures_apart() -> None:
    options: list[dict[str, Any]] = [
        {},
        {"form": "fraction"},
        {"scale": 2},
        {"source": "denoiser"},
        {"side": 64},
        {"extractor": {"width": 8, "blocks": 1, "groups": 8}},
    ]
    described = [make(rgb=None, signature=SIGNATURE | option).parts()[0].description for option in options]
    assert len(set(described)) == len(described)
    # What reads a signature changes nothing of it.
    assert make(rgb=None, signature=SIGNATURE | {"block": 2}).parts()[0].description == described[0]


@pytest.mark.parametrize(
    ("form", "source", "expected"),
    [("plain", "extractor", 0.25), ("fraction", "extractor", -0.5), ("plain", "srm", 0.25)],
)
def test_backbone_sees_signatures_about_zero(form: str, source: str, expected: float) -> None:
    network = make(rgb=None, signature={"form": form, "source": source, "extractor": TINY, "block": 0})
    assert network.signature is not None
    network.signature.backbone = nn.Flatten()
    seen = network.signature(torch.full((1, 3, 32, 32), 0.25))
    assert torch.equal(seen, torch.full((1, 3 * 32 * 32), expected))


def test_mirrored_in_training_only() -> None:
    stream = make(rgb=None, signature=SIGNATURE).signature
    assert stream is not None
    stream.backbone = nn.Flatten()
    signature = torch.rand(2, 3, 32, 32)
    plain, mirrored = signature.flatten(1), signature.flip(3).flatten(1)
    torch.manual_seed(0)
    assert all(torch.equal(stream.eval()(signature), plain) for _ in range(10))
    stream.train()
    found = [stream(signature) for _ in range(20)]
    flips = [torch.equal(one, mirrored) for one in found]
    assert all(flip or torch.equal(one, plain) for flip, one in zip(flips, found, strict=True))
    assert 4 < sum(flips) < 16


def test_whole_backbone_is_trained_and_the_rest_is_not() -> None:
    network = make(**COMBINATIONS["both"])
    with torch.inference_mode():
        features = network.frozen(images(5))
    network.train().head(*(feature.clone() for feature in features)).logit.sum().backward()
    assert network.rgb is not None
    assert network.signature is not None
    assert all(parameter.grad is not None for parameter in network.signature.backbone.parameters())
    for frozen in (network.rgb.frozen, network.signature.frozen):
        assert not any(parameter.requires_grad for parameter in frozen.parameters())
    fresh = {id(parameter) for parameter in network.fresh_parameters()}
    assert not fresh & {id(parameter) for parameter in network.signature.backbone.parameters()}
    random = make(rgb=None, signature=SIGNATURE | {"start": "random"})
    assert len(random.fresh_parameters()) == len([p for p in random.parameters() if p.requires_grad])


def test_positive_logits_mean_generated() -> None:
    network = make(rgb=None, signature={**SIGNATURE, "block": 1}).train()
    stripes = torch.arange(64).remainder(2).float().expand(64, 64)
    smooth = torch.arange(64).float().expand(64, 64) / 64
    shown = torch.stack([smooth, stripes, smooth.T, stripes.T])[:, None].expand(4, 3, 64, 64) * 0.9
    labels = torch.tensor([0.0, 1, 0, 1])
    features = network.frozen(shown)
    optimiser = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 0.01)
    for _ in range(15):
        optimiser.zero_grad()
        F.binary_cross_entropy_with_logits(network.head(*features).logit, labels).backward()
        optimiser.step()
    assert ((network.head(*features).logit > 0) == labels.bool()).all()


def test_normalisation_is_fitted_to_signatures() -> None:
    network = make(**COMBINATIONS["both"])
    assert network.signature is not None
    norm = network.signature.backbone.trunk._bn0
    seen: list[Tensor] = []
    hook = norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        batches = [network.frozen(images(2, seed=seed)) for seed in (1, 2, 3)]
        network.prepare(batches)
    hook.remove()
    means = torch.stack([batch.mean((0, 2, 3)) for batch in seen])
    variances = torch.stack([batch.transpose(0, 1).flatten(1).var(1) for batch in seen])
    assert len(seen) == 3
    torch.testing.assert_close(norm.running_mean, means.mean(0), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(norm.running_var, variances.mean(0), atol=1e-5, rtol=1e-4)
    assert norm.momentum == 0.01
    assert not any(module.training for module in network.modules())


def test_impossible_options_are_refused() -> None:
    with pytest.raises(ValidationError, match="both switched off"):
        GenSignConfig(rgb=None, signature=None)
    with pytest.raises(ValidationError, match="block is an option of lite0"):
        GenSignConfig.model_validate({"signature": {"backbone": "b0", "block": 3}})
    with pytest.raises(ValidationError, match="multiple of 32"):
        GenSignConfig.model_validate({"signature": {"side": 100}})


def write_extractor(folder: Path, target: str = "residual", **changed: Any) -> Extractor:
    """A random extractor, as a stage leaves it."""
    config = TINY.model_copy(update=changed)
    torch.manual_seed(5)
    extractor = Extractor(config)
    folder.mkdir(parents=True)
    save_model(extractor, str(folder / "network.safetensors"))
    record = {"config": {"model": config.model_dump(), "target": target}}
    (folder / "stage.json").write_text(json.dumps(record))
    return extractor


def write_lite0(folder: Path) -> EfficientNetLite0:
    torch.manual_seed(6)
    trunk = EfficientNetLite0()
    torch.save(trunk.state_dict(), folder / "efficientnet-lite0-random.pth")
    return trunk


def from_weights(folder: Path, **options: Any) -> GenSign:
    config = GenSignConfig.model_validate({"rgb": None, "signature": SIGNATURE | options})
    return build(config, folder).eval()


@pytest.mark.parametrize("source", ["extractor", "denoiser"])
def test_weights_of_the_signature_stream(source: str, tmp_path: Path) -> None:
    extractor = write_extractor(tmp_path / source, "noise" if source == "denoiser" else "residual")
    trunk = write_lite0(tmp_path).eval()
    network = from_weights(tmp_path, source=source, block=15)
    with torch.inference_mode():
        signature = extractor(images()) * 16
        torch.testing.assert_close(network.frozen(images())[0], signature)
        expected = trunk((signature + 1) / 2, (15,))[0].mean((2, 3))
        assert network.signature is not None
        torch.testing.assert_close(network.signature(signature), expected)
    assert expected.shape == (3, 320)


@pytest.mark.parametrize(
    ("written", "options", "complaint"),
    [
        ({}, {"source": "denoiser"}, r"no trained denoiser in .*target: noise"),
        ({"target": "noise"}, {}, r"stage\.json: trained on the target 'noise', this signature needs 'res"),
        (
            {"width": 16, "input": "original"},
            {},
            r"stage\.json: trained with width 16 instead of 8, input 'original' instead of 'reconstructed'",
        ),
    ],
)
def test_other_extractors_are_refused(
    written: dict[str, Any], options: dict[str, Any], complaint: str, tmp_path: Path
) -> None:
    write_extractor(tmp_path / "extractor", **written)
    write_lite0(tmp_path)
    with pytest.raises(ConfigError, match=complaint):
        from_weights(tmp_path, **options)


@pytest.mark.parametrize("record", ["", "{}", '{"config": {"model": {"width": 0}, "target": "noise"}}'])
def test_foreign_records_are_refused(record: str, tmp_path: Path) -> None:
    write_extractor(tmp_path / "extractor")
    (tmp_path / "extractor" / "stage.json").write_text(record)
    with pytest.raises(ConfigError, match=r"stage\.json: (cannot be read|not the record)"):
        from_weights(tmp_path)


def test_missing_extractor_and_backbone_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no trained extractor in"):
        from_weights(tmp_path)
    with pytest.raises(ConfigError, match=r"no efficientnet-lite0\*\.pth there"):
        from_weights(tmp_path, source="srm")
    with pytest.raises(ConfigError, match=r"no efficientnet-b0\*\.safetensors there"):
        from_weights(tmp_path, source="srm", backbone="b0", block=15)
    from_weights(tmp_path, source="srm", start="random")


@pytest.fixture(scope="module")
def b0() -> EfficientNetB0:
    torch.manual_seed(7)
    return EfficientNetB0().eval()


def test_b0_is_b0(b0: EfficientNetB0) -> None:
    # 5,288,548 parameters of the whole network (Tan and Le: 5.3 M) less the classifier's 1280 * 1000 + 1000.
    assert sum(parameter.numel() for parameter in b0.parameters()) == 4_007_548
    picture = images(2, 64)
    with torch.inference_mode():
        found = b0(picture)
        torch.testing.assert_close(found, b0.trunk(picture).pooler_output)
    assert found.shape == (2, 1280)
    with torch.no_grad():
        assert copy.deepcopy(b0).train()(images(4, 64)).std() > 0.01, "the picture arrives"
    momenta = {module.momentum for module in b0.modules() if isinstance(module, nn.BatchNorm2d)}
    assert max(momenta) <= 0.1, "running statistics remember more than the last batch"


@pytest.mark.parametrize("prefix", ["", "efficientnet."])
def test_b0_loads_with_and_without_classifier(b0: EfficientNetB0, prefix: str, tmp_path: Path) -> None:
    state = {prefix + name: tensor for name, tensor in b0.trunk.state_dict().items()}
    save_file(state | {"classifier.weight": torch.zeros(1)}, tmp_path / "efficientnet-b0-x.safetensors")
    other = EfficientNetB0().eval()
    load_b0(other, tmp_path)
    with torch.inference_mode():
        assert torch.equal(other(images(1, 32)), b0(images(1, 32)))


def test_other_files_than_b0_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "efficientnet-b0.safetensors"
    path.write_bytes(b"junk")
    with pytest.raises(ConfigError, match="cannot be read as weights"):
        load_b0(EfficientNetB0(), tmp_path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ConfigError, match=r"not the weights of EfficientNet-B0, embeddings\.convolution"):
        load_b0(EfficientNetB0(), tmp_path)


def test_preparing_b0_draws_nothing_at_random() -> None:
    found = []
    for seed in (1, 2):
        network = make(rgb=None, signature={"source": "srm", "backbone": "b0", "start": "random"})
        torch.manual_seed(seed)
        network.prepare([network.frozen(images(2, 64))])
        with torch.inference_mode():
            found.append(network(images(2, 64)).logit)
    assert torch.equal(*found)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("streams", ["both", "tuned as a whole", "signature"])
def test_export(streams: str, tmp_path: Path) -> None:
    network = make(**COMBINATIONS[streams])
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.3)
    write_graph(network.exportable(), images(2), tmp_path / "a.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "a.onnx"))
    for count in (1, 3):
        with torch.inference_mode():
            expected = network(images(count, seed=8)).logit.numpy()
        (found,) = session.run(["logit"], {"images": images(count, seed=8).numpy()})
        np.testing.assert_allclose(found, expected, atol=1e-4)
