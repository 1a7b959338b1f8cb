"""NIRNet's branches: what each sees, where gradients flow, what only training needs, export."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor

from vestige.methods import registry
from vestige.methods.nirnet.model import NirNet, NirNetConfig, build
from vestige.training.export import write_graph

# PyTorch's threads spin while they wait for each other: on a busy machine that costs minutes.
torch.set_num_threads(1)

TOWER = {
    "width": 32,
    "layers": 2,
    "heads": 2,
    "feed_forward": 64,
    "patch": 16,
    "image": 64,
    "projection": 16,
}
NOISE: dict[str, Any] = {
    "extractor": {"filters": 3, "width": 8, "blocks": 1},
    "side": 64,
    "width": 8,
    "difference": {"hidden": 8, "weight": 0.5},
}
SEMANTIC: dict[str, Any] = {"features": [{"kind": "clip", "tower": TOWER, "keep": "all"}]}
OFF = {"noise": None, "frequency": None, "semantic": None}
BRANCHES: dict[str, dict[str, Any]] = {
    "all": {},
    "noise": OFF | {"noise": NOISE},
    "without the loss": OFF | {"noise": NOISE | {"difference": None}},
    "frequency": OFF | {"frequency": {}},
    "semantic": OFF | {"semantic": SEMANTIC},
    "noise and semantic": {"frequency": None},
}


def make(**options: Any) -> NirNet:
    torch.manual_seed(0)
    sections = {"noise": NOISE, "semantic": SEMANTIC, "branch_width": 8, "width": 8, "dropout": 0.0}
    return build(NirNetConfig.model_validate(sections | options), None).eval()


def images(count: int = 3, side: int = 96) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def learned(network: NirNet, seen: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    with torch.no_grad():
        taught = tuple(part.module(seen) for part in network.teachers())
        features = (*network.frozen(seen), *taught)
    output, extra = network.learn(*features)
    return output.logit, extra


@pytest.fixture(params=BRANCHES)
def network(request: pytest.FixtureRequest) -> NirNet:
    return make(**BRANCHES[request.param])


def test_all_branches_switched_off_is_refused() -> None:
    with pytest.raises(ValidationError, match="one branch is needed"):
        NirNetConfig.model_validate(OFF)


def test_every_branch_has_a_say(network: NirNet) -> None:
    """What a branch is shown changes the logit, part by part."""
    features = network.frozen(images())
    before = network.head(*features).logit
    for number, feature in enumerate(features):
        changed = [*features]
        changed[number] = feature.flip(0)
        assert not torch.equal(network.head(*changed).logit, before), number


def test_the_noise_branch_sees_the_middle_alone() -> None:
    network = make(**BRANCHES["noise"])
    seen = images()
    edged = seen.clone()
    edged[:, :, :16] = 0
    edged[..., -16:] = 1
    assert torch.equal(network(seen).logit, network(edged).logit)
    edged[:, :, 48, 48] = 0
    assert not torch.equal(network(seen).logit, network(edged).logit)


def test_pixels_survive_the_float16_of_the_cache() -> None:
    network = make(**BRANCHES["noise"])
    levels = torch.arange(256).repeat(48)[: 3 * 64 * 64].reshape(1, 3, 64, 64)
    (kept,) = network.frozen(levels.float() / 255)
    assert torch.equal(kept.half().float(), levels.float())


def test_difference_loss_teaches_the_extractor_and_its_projection_alone() -> None:
    network = make().train()
    _, extra = learned(network, images())
    extra["difference"].backward()
    assert network.difference is not None
    reached = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None}
    assert reached == {"noise", "difference"}
    assert network.extractor is not None
    assert all(p.grad is not None for p in network.difference.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in network.extractor.parameters())
    assert all(p.grad is None for p in network.noise.encoder.parameters())  # type: ignore[union-attr]


def test_classification_teaches_every_trained_part_but_the_projection() -> None:
    network = make().train()
    logit, _ = learned(network, images())
    logit.square().sum().backward()
    without = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is None}
    assert without == {"difference", "semantic"}
    assert not any(p.requires_grad for p in network.semantic.parameters())  # type: ignore[union-attr]


def test_teachers_are_never_taught() -> None:
    network = make().train()
    (teacher,) = network.teachers()
    logit, extra = learned(network, images())
    (logit.sum() + extra["difference"]).backward()
    assert all(p.grad is None and not p.requires_grad for p in teacher.module.parameters())
    names = [name for name, _ in network.named_parameters()]
    assert not any("latents" in name for name in names), "a trained network is restored without the VAE"


def test_difference_loss_has_its_weight() -> None:
    light = make(noise=NOISE | {"difference": {"hidden": 8, "weight": 0.1}})
    heavy = make(noise=NOISE | {"difference": {"hidden": 8, "weight": 0.2}})
    one, other = (learned(network, images())[1]["difference"] for network in (light, heavy))
    torch.testing.assert_close(other, 2 * one)


def test_difference_loss_by_hand() -> None:
    """n(x1) - n(x2) through the MLP against z(x1) - z(x2) for all neighbours of a batch, Fig. 5."""
    network = make(**BRANCHES["noise"])
    seen = images()
    features = network.frozen(seen)
    (teacher,) = network.teachers()
    latents = teacher.module(seen)
    network.prepare([(*features, latents)])
    assert network.extractor is not None
    assert network.difference is not None
    imprint = network.extractor(seen[:, :, 16:80, 16:80])
    scale = latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1]).std(0)
    expected = []
    for one, other in ((0, 1), (1, 2), (2, 0)):
        apart = F.pixel_unshuffle(imprint[one : one + 1] - imprint[other : other + 1], 8)
        said = network.difference.mlp(apart)[0]
        wanted = (latents[one] - latents[other]) / scale[:, None, None]
        expected.append((said - wanted).square().mean())
    _, extra = network.learn(*features, latents)
    torch.testing.assert_close(extra["difference"], 0.5 * torch.stack(expected).mean(), rtol=1e-3, atol=1e-4)


def test_latents_of_views_of_several_sizes_have_one_scale() -> None:
    network = make(**OFF | {"noise": NOISE | {"side": None}})
    (teacher,) = network.teachers()
    seen = [images(2, side) for side in (64, 96)]
    latents = [teacher.module(some) for some in seen]
    network.prepare([(*network.frozen(some), kept) for some, kept in zip(seen, latents, strict=True)])
    assert network.difference is not None
    together = torch.cat([kept.permute(1, 0, 2, 3).flatten(1) for kept in latents], 1)
    torch.testing.assert_close(
        network.difference.deviation, together.std(1, correction=0), rtol=1e-4, atol=1e-4
    )


def test_standardisation_makes_features_alike_in_scale() -> None:
    network = make()
    features = [network.frozen(images(8)) for _ in range(2)]
    network.prepare(features)
    for name, kept in (("frequency", features[0][1]), ("semantic", network.semantic(features[0][2]))):  # type: ignore[misc]
        found = network.standardise[name](kept)
        varying = kept.std(0) > 1e-3
        torch.testing.assert_close(found.mean(0)[varying], torch.zeros(int(varying.sum())), atol=1e-3, rtol=0)
        assert (found.std(0)[varying] - 1).abs().max() < 0.2


def test_export_needs_no_vae(network: NirNet, tmp_path: Path) -> None:
    seen = images(2)
    outputs = write_graph(network.exportable(), seen, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (found,) = session.run([outputs.logit], {"images": seen.numpy()})
    np.testing.assert_allclose(found, network(seen).logit.detach().numpy(), atol=1e-4)
    assert network.exportable().teachers() == ()


def test_only_the_towers_in_use_are_named_as_starting_weights() -> None:
    method = registry.get("nirnet")
    assert method.weights_of is not None
    assert len(method.weights_of(NirNetConfig())) >= 1
    assert method.weights_of(NirNetConfig.model_validate(OFF | {"frequency": {}})) == ()


def test_all_from_the_hub() -> None:
    method = registry.get("nirnet")
    assert method.from_hub is not None
    at_hub = {"features": [{"kind": "clip", "tower": TOWER, "hub": "somebody/clip"}]}
    taught = NOISE | {"difference": {"latents": {"kind": "diffusers-vae", "hub": "somebody/vae"}}}
    for noise, semantic, expected in (
        (taught, at_hub, True),
        (NOISE | {"difference": None}, at_hub, True),
        (None, at_hub, True),
        (NOISE, at_hub, False),
        (taught, SEMANTIC, False),
    ):
        config = NirNetConfig.model_validate({"noise": noise, "semantic": semantic})
        assert method.from_hub(config) is expected
