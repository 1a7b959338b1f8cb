"""GAMMA's network: who looks at whom, what learns, what is exported."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from gamma_samples import clip, images, lite, network, truth
from pydantic import ValidationError
from safetensors.torch import load_model, save_model
from torch import Tensor

from vestige.methods.gamma import METHOD
from vestige.methods.gamma.model import Gamma, GammaConfig, build
from vestige.nn.clip_vision import WEIGHTS_NOTE as CLIP_NOTE
from vestige.nn.efficientnet_lite import WEIGHTS_NOTE as LITE0_NOTE
from vestige.training.export import write_graph

pytest.importorskip("transformers")
torch.set_num_threads(1)

TOWERS = {
    "clip": clip(),
    "lora": clip(lora={"layers": 1}),
    "all tuned": clip(lora={}),
    "lite": lite(),
    "lite, all tuned": lite(frozen_blocks=0),
}
SMALL = {"queries": 2, "heads": 2}
towers = pytest.mark.parametrize("tower", TOWERS.values(), ids=TOWERS)


def frozen(network: Gamma, pictures: Tensor) -> tuple[Tensor, ...]:
    with torch.inference_mode():
        found = network.frozen(pictures)
    return tuple(tensor.clone() for tensor in found)


def touched(network: Gamma) -> set[str]:
    """Modules at the top that got a gradient."""
    return {
        name.split(".")[0] for name, parameter in network.named_parameters() if parameter.grad is not None
    }


@towers
@pytest.mark.parametrize("side", [32, 64, 96])
def test_shapes(tower: Any, side: int) -> None:
    found = network(tower=tower)
    with torch.inference_mode():
        output = found(images(3, side))
        features = found.frozen(images(3, side))
        assert found.embed(*features, truth(3, side)).shape == (3, 16)
        apart = found.head(*features, truth(3, side))
    assert output.logit.shape == (3,)
    grid = side // (16 if tower.kind == "clip" else 8)
    assert output.map is not None
    assert output.map.shape == (3, 1, grid, grid)
    assert torch.equal(apart.logit, output.logit)
    assert apart.map is not None
    assert torch.equal(apart.map, output.map)


@pytest.mark.parametrize(
    ("heads", "shown"),
    [
        (("manipulated", "source"), "source"),
        (("source", "manipulated"), "source"),
        (("source",), "source"),
        (("manipulated",), None),  # what was changed need not be generated
        ((), None),
    ],
)
@pytest.mark.parametrize("attention", [None, SMALL])
def test_the_map_is_the_sources_or_there_is_none(
    heads: tuple[str, ...], shown: str | None, attention: Any
) -> None:
    found = network(heads=heads, attention=attention)
    features = frozen(found, images())
    output, losses = found.learn(*features, truth())
    assert set(losses) == set(heads)
    if shown is None:
        assert output.map is None
        return
    assert found.segmentation is not None
    with torch.inference_mode():
        expected = found.segmentation(*found.tower(*features).maps).logits[shown]
    assert output.map is not None
    assert torch.equal(output.map, expected)


@pytest.mark.parametrize("heads", [("manipulated", "source"), ()])
def test_classification_looks_at_segmentation_only_through_attention(heads: tuple[str, ...]) -> None:
    for attention, looks in ((SMALL, True), (None, False)):
        found = network(heads=heads, attention=attention)
        with torch.inference_mode():
            before = found(images())
            if found.segmentation is None:
                assert (heads, attention) == ((), None)
                continue
            next(iter(found.segmentation.neck.projections)).weight.mul_(3)  # type: ignore[union-attr,operator]
            after = found(images())
        assert ((before.logit - after.logit).abs().max() > 1e-4) == looks
        if before.map is not None and after.map is not None:
            assert (before.map - after.map).abs().max() > 1e-4


def test_map_does_not_look_at_the_class_token() -> None:
    found = network(attention=SMALL)
    (features,) = frozen(found, images())
    other = features.clone()
    other[:, (0, 17)] += 3  # the class tokens of the two layers
    with torch.inference_mode():
        before, after = found.head(features), found.head(other)
    assert before.map is not None
    assert after.map is not None
    assert torch.equal(before.map, after.map)
    assert (before.logit - after.logit).abs().min() > 1e-4


@pytest.mark.parametrize("attention", [None, SMALL])
def test_gradients_of_the_classification(attention: Any) -> None:
    found = network(attention=attention).train()
    found.learn(*frozen(found, images()), truth())[0].logit.sum().backward()
    expected = {"hidden", "linear"} | ({"attention", "segmentation"} if attention else set())
    assert touched(found) == expected
    if attention:
        assert found.segmentation is not None
        for name, parameter in found.segmentation.named_parameters():
            assert parameter.grad is not None, f"{name}: not reached"


def test_gradients_of_the_segmentation() -> None:
    found = network(tower=clip(lora={"layers": 1}), attention=SMALL).train()
    _, losses = found.learn(*frozen(found, images()), truth())
    assert all(loss.ndim == 0 for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    assert touched(found) == {"segmentation", "tower"}


def test_losses_have_the_weights_of_the_recipe() -> None:
    plain = network(weights={"manipulated": 1, "source": 1})
    other = network(weights={"manipulated": 0.1, "source": 3})
    features = frozen(plain, images())
    with torch.inference_mode():
        ones, scaled = (one.learn(*features, truth())[1] for one in (plain, other))
    assert scaled["manipulated"].item() == pytest.approx(0.1 * ones["manipulated"].item(), rel=1e-5)
    assert scaled["source"].item() == pytest.approx(3 * ones["source"].item(), rel=1e-5)
    # Channel 1 is what is generated.
    swapped = truth()
    swapped[:, 0] = 0.5
    with torch.inference_mode():
        found = plain.learn(*features, swapped)[1]
    assert found["source"].item() == ones["source"].item()
    assert found["manipulated"].item() != ones["manipulated"].item()


def test_segmentation_can_be_learned() -> None:
    torch.manual_seed(0)
    found = network(attention=SMALL).train()
    pictures = images(4) * 0.2
    pictures[:2, :, :32] += 0.8
    known = torch.zeros(4, 2, 8, 8)
    known[:2, :, :4] = 1
    features = frozen(found, pictures)
    found.eval().prepare([features])
    trained = [parameter for parameter in found.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(trained, 3e-3)
    for _ in range(60):
        output, losses = found.learn(*features, known)
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimiser.step()
    assert output.map is not None
    assert torch.equal(output.map[:, 0] > 0, known[:, 1, ::2, ::2] > 0.5)


def test_attention_and_its_stand_in_are_of_the_same_size() -> None:
    for width, tower in ((16, clip()), (48, clip(layers=[1, 2, 3])), (32, lite())):
        sizes = []
        for attention in ({}, None):
            found = network(width=width, tower=tower, attention=attention)
            modules = [found.hidden, *([] if found.attention is None else [found.attention])]
            sizes.append(sum(p.numel() for module in modules for p in module.parameters()))
        assert sizes[1] == pytest.approx(sizes[0], rel=0.02)


@towers
def test_prepared_in_the_solvers_way(tower: Any) -> None:
    """Fitted from generators whose batches end with the truth and differ in size."""
    found = network(tower=tower)
    batches = [(*frozen(found, images(4, side)), truth(4, side)) for side in (64, 96)]
    found.prepare(batch for batch in batches)
    with torch.inference_mode():
        summaries = torch.cat([found.tower(batch[0]).summary for batch in batches])
    torch.testing.assert_close(summaries.mean(0), torch.zeros(found.tower.width), atol=0.25, rtol=0)


@towers
def test_fresh_parameters(tower: Any) -> None:
    found = network(tower=tower)
    fresh = {id(parameter) for parameter in found.fresh_parameters()}
    tuned = {
        name
        for name, parameter in found.named_parameters()
        if parameter.requires_grad and id(parameter) not in fresh
    }
    assert all(name.startswith(("tower.blocks.", "tower.stem.")) for name in tuned)
    assert bool(tuned) == (tower.kind == "efficientnet")


@pytest.mark.parametrize("name", ["lora", "all tuned", "lite"])
def test_exported_twin_says_the_same(name: str) -> None:
    found = network(tower=TOWERS[name])
    merged = found.exportable()
    assert (merged is found) == (name == "lite")
    with torch.inference_mode():
        expected, said = found(images()), merged(images())
    torch.testing.assert_close(said.logit, expected.logit, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(said.map, expected.map, atol=1e-5, rtol=1e-5)


@towers
def test_reloaded_networks_say_the_same(tower: Any, tmp_path: Path) -> None:
    found = network(tower=tower)
    found.prepare([frozen(found, images())])
    save_model(found, str(tmp_path / "network.safetensors"))
    other = build(found.config, None).eval()
    load_model(other, str(tmp_path / "network.safetensors"))
    with torch.inference_mode():
        assert torch.equal(other(images()).logit, found(images()).logit)


@pytest.mark.parametrize(
    ("options", "side"),
    [
        ({"tower": clip(lora={"layers": 1}), "attention": SMALL}, 96),
        ({"tower": lite(), "heads": ["source"], "attention": {"heads": 1, "depth": 2}}, 64),
    ],
    ids=["low-rank updates, position embeddings", "efficientnet"],
)
def test_onnx_graph_says_the_same(options: Any, side: int, tmp_path: Path) -> None:
    found = network(**options)
    found.prepare([frozen(found, images(4, side))])
    path = tmp_path / "model.onnx"
    outputs = write_graph(found.exportable(), images(2, side), path)
    assert outputs.map == "map"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for count in (1, 3):
        pictures = images(count, side, seed=7)
        with torch.inference_mode():
            expected = found(pictures)
        said = session.run(None, {"images": pictures.numpy()})
        assert said[0].shape == (count,)
        np.testing.assert_allclose(said[0], expected.logit, atol=1e-4)
        np.testing.assert_allclose(said[1], expected.map, atol=1e-4)


@towers
def test_mixed_precision(tower: Any) -> None:
    found = network(tower=tower, weights={"dice": 0.5}).train()
    features = frozen(found, images())
    found.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.autocast("cpu", torch.bfloat16):
        output, losses = found.learn(*features, truth())
    assert all(loss.dtype == torch.float32 for loss in losses.values())
    (output.logit.float().sum() + sum(losses.values())).backward()
    with torch.no_grad():
        calm = found.eval().learn(*features, truth())[1]
    for name, loss in losses.items():
        assert loss.item() == pytest.approx(calm[name].item(), rel=0.1)


def test_dropout_is_for_training_only() -> None:
    found = network(dropout=0.5)
    features = frozen(found, images())
    with torch.no_grad():
        assert torch.equal(found.head(*features).logit, found.head(*features).logit)
        found.train()
        assert not torch.equal(found.head(*features).logit, found.head(*features).logit)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"heads": ["source", "source"]}, "heads lists something twice"),
        ({"heads": ["colour"]}, "heads"),
        ({"width": 18}, r"width \(18\) must be a multiple of attention.heads \(4\)"),
        ({"weights": {"source": 0}}, "greater than 0"),
        ({"attention": {"queries": -1}}, "queries"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        GammaConfig.model_validate(options)


def test_entry_of_the_registry() -> None:
    assert METHOD.map_output
    assert METHOD.solver == "gradient"
    assert METHOD.weights_of is not None
    assert METHOD.from_hub is not None
    random = lite(frozen_blocks=0, start="random")
    for tower, notes in ((clip(), (CLIP_NOTE,)), (lite(), (LITE0_NOTE,)), (random, ())):
        assert METHOD.weights_of(GammaConfig(tower=tower)) == notes
        assert not METHOD.from_hub(GammaConfig(tower=tower))
    assert METHOD.from_hub(GammaConfig(tower=clip(hub="some/tower")))
