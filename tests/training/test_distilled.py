"""The student: folded normalisation changes nothing, the teacher teaches and then leaves."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from tiny_workshop import TOWER, write_clip, write_weights
from torch import nn

from vestige.methods.distilled.model import Distilled, DistilledConfig, build
from vestige.nn.efficientnet_lite import BLOCKS, EfficientNetLite0, fold_norms

CONFIG = DistilledConfig.model_validate(
    {"teacher": [{"kind": "clip", "tower": TOWER, "layers": [1]}], "taps": [10], "weight": 3.0, "dropout": 0}
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(write_weights(tmp_path_factory.mktemp("weights")))


@pytest.fixture
def network(weights: Path) -> Distilled:
    torch.manual_seed(0)
    return build(CONFIG, weights).eval()


def said(network: Distilled, images: torch.Tensor) -> list[torch.Tensor]:
    with torch.inference_mode():
        found = [*network.frozen(images), *(part.module(images) for part in network.teachers())]
    return [tensor.clone() for tensor in found]


def test_folding_keeps_the_function() -> None:
    torch.manual_seed(0)
    trunk = EfficientNetLite0().eval()
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                nn.init.uniform_(tensor, 0.5, 2)  # type: ignore[arg-type]
            for tensor in (module.bias, module.running_mean):
                nn.init.normal_(tensor, 0, 0.3)  # type: ignore[arg-type]
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        before = trunk(images, (5, len(BLOCKS) - 1))
        for block in list(trunk._blocks)[3:]:
            fold_norms(block)
        after = trunk(images, (5, len(BLOCKS) - 1))
    left = [index for index, block in enumerate(trunk._blocks) if any(map(is_norm, block.modules()))]
    assert left == [0, 1, 2]
    for one, two in zip(before, after, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-3 * float(one.abs().max()))


def is_norm(module: nn.Module) -> bool:
    return isinstance(module, nn.BatchNorm2d)


def test_what_is_learned_is_the_teachers_standardised_word(network: Distilled) -> None:
    batches = [tuple(said(network, torch.rand(6, 3, 64, 64))) for _ in range(3)]
    network.prepare(batches)
    features = batches[0]
    assert network.predict is not None
    nn.init.normal_(network.predict.weight, 0, 0.1)
    with torch.inference_mode():
        _, extra = network.learn(*features)
        tower = network._teacher[0]
        every = torch.cat([tower(*batch[1:]) for batch in batches])
        target = (tower(*features[1:]) - every.mean(0)) / every.std(0).clamp(min=1e-4)
        predicted = network.predict(network.embed(features[0]))
    assert float(extra["distillation"]) == pytest.approx(
        3 * float(((predicted - target) ** 2).mean()), rel=1e-4
    )


def test_the_early_blocks_and_the_teacher_are_never_trained(network: Distilled) -> None:
    features = said(network, torch.rand(4, 3, 64, 64))
    network.prepare([tuple(features)])
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    teacher = {name: tensor.clone() for name, tensor in network._teacher[0].state_dict().items()}
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=0.1)
    network.train()
    for _ in range(2):  # after the first, the layers that start at zero pass something on
        optimiser.zero_grad()
        output, extra = network.learn(*features)
        (nn.functional.softplus(output.logit).mean() + extra["distillation"]).backward()
        optimiser.step()
    changed = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert any(name.startswith("trunk._blocks.5.") for name in changed)
    assert "last._conv_head.weight" in changed
    early = ("trunk._conv_stem", "trunk._bn0", *(f"trunk._blocks.{index}." for index in range(5)))
    assert not [name for name in changed if name.startswith(early)]
    for name, tensor in network._teacher[0].state_dict().items():
        assert torch.equal(tensor, teacher[name]), name


def test_what_is_exported_knows_nothing_of_the_teacher(network: Distilled) -> None:
    images = torch.rand(3, 3, 64, 64)
    network.prepare([tuple(said(network, images))])
    nn.init.normal_(network.linear.weight)
    alone = network.exportable()
    with torch.inference_mode():
        torch.testing.assert_close(alone(images).logit, network(images).logit)
    names = {name.split(".")[0] for name, _ in alone.named_parameters()}
    assert names == {"trunk", "last", "linear"}
    assert network.predict is not None
    assert network.teachers()


@pytest.mark.parametrize("labels", [False, True])
def test_labels_reach_the_embedding_only_if_asked(weights: Path, labels: bool) -> None:
    torch.manual_seed(0)
    network = build(CONFIG.model_copy(update={"labels": labels}), weights)
    features = said(network.eval(), torch.rand(4, 3, 64, 64))
    network.prepare([tuple(features)])
    nn.init.normal_(network.linear.weight)
    output, _ = network.train().learn(*features)
    output.logit.sum().backward()
    assert network.linear.weight.grad is not None
    assert (network.last._conv_head.weight.grad is not None) == labels


@pytest.mark.parametrize("taps", [(4, 10), (10, 16), (15, 10), (10, 10)])
def test_taps_that_are_not_tuned_are_refused(taps: tuple[int, ...]) -> None:
    with pytest.raises(ValidationError, match="taps must ascend from above frozen"):
        DistilledConfig(frozen=4, taps=taps)
