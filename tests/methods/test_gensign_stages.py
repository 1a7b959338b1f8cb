"""Stages I and II of GenSign: losses, pairs and figures by hand; what is trained and what stays."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from vestige.errors import ConfigError
from vestige.methods.gensign import training
from vestige.methods.gensign.dair import Dair, DairConfig
from vestige.methods.gensign.extractor import ExtractorConfig
from vestige.methods.gensign.structure import Structure, StructureSpace
from vestige.methods.gensign.training import (
    DairStage,
    DairTask,
    ExtractorStage,
    ExtractorTask,
    amplified,
    build_dair,
    psnr,
)
from vestige.nn.perceptual import PerceptualDistance

TINY = DairConfig(encoder=(4, 4, 4), decoder=(4, 4, 4), groups=2)
TINY_EXTRACTOR = ExtractorConfig(width=4, blocks=1, groups=2)


class StubDistance(nn.Module):
    """Stands for a perceptual distance: a weighted mean of absolute differences, [B]."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]), requires_grad=False)
        self.norm = nn.BatchNorm2d(3).requires_grad_(False)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return ((a - b).abs() * self.weight.view(3, 1, 1)).mean((1, 2, 3))


class Rule(nn.Module):
    """Stands for a trained network: pictures, and whatever comes with them, through a function."""

    def __init__(self, rule: Callable[..., Tensor]) -> None:
        super().__init__()
        self.rule = rule
        self.seen: list[list[Structure]] = []

    def forward(self, images: Tensor, structures: list[Structure] | None = None) -> Tensor:
        if structures is not None:
            self.seen.append(structures)
        return self.rule(images)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int = 4, side: int = 16) -> Tensor:
    return torch.rand(count, 3, side, side, generator=generator(99))


def stage_one(perceptual: nn.Module | None = None, **options: object) -> DairTask:
    torch.manual_seed(0)
    config = DairStage.model_validate({"model": TINY, "perceptual": None, **options})
    return DairTask(config, perceptual).train()


def stage_two(
    dair: nn.Module | None, space: StructureSpace | None = None, **options: object
) -> ExtractorTask:
    torch.manual_seed(0)
    config = ExtractorStage.model_validate({"model": TINY_EXTRACTOR, **options})
    return ExtractorTask(config, dair, space or StructureSpace()).train()


def test_loss_of_stage_one_by_hand() -> None:
    task = stage_one(StubDistance())
    images = pictures()
    task.network = Rule(lambda images: images + torch.tensor([0.1, -0.2, 0.3]).view(3, 1, 1))
    parts = task.loss(images, generator())
    squared = 4 * (0.01 + 0.04 + 0.09) / 3  # in [-1, 1] everything is twice as far apart
    perceptual = (1 * 0.1 + 2 * 0.2 + 3 * 0.3) / 3
    assert float(parts["squared"]) == pytest.approx(squared, rel=1e-5)
    assert float(parts["perceptual"]) == pytest.approx(perceptual, rel=1e-5)
    assert float(parts["loss"]) == pytest.approx(1.0 * squared + 0.25 * perceptual, rel=1e-5)


def test_weights_of_the_two_losses_are_options() -> None:
    task = stage_one(StubDistance(), squared_weight=0.5, perceptual_weight=2.0)
    with torch.no_grad():
        parts = task.loss(pictures(), generator())
    assert float(parts["loss"]) == pytest.approx(
        0.5 * float(parts["squared"]) + 2.0 * float(parts["perceptual"]), rel=1e-6
    )
    assert set(stage_one().loss(pictures(), generator())) == {"loss", "squared"}


def test_loss_compares_with_the_reconstruction_by_the_drawn_structures() -> None:
    task = stage_one(structures=2)
    images = pictures()
    drawn = StructureSpace().draw_for(4, 2, generator(5))
    expected = ((task.network(images, drawn) - images) * 2).square().mean()
    found = task.loss(images, generator(5))["loss"]
    torch.testing.assert_close(found, expected)
    assert not torch.isclose(task.loss(images, generator(6))["loss"], expected)


@pytest.mark.parametrize(("structures", "different"), [(1, 1), (2, 2), (4, 4), (9, 4)])
def test_structures_per_batch(structures: int, different: int) -> None:
    task = stage_one(structures=structures)
    task.network = rule = Rule(lambda images: images)
    task.loss(pictures(), generator())
    assert len(set(rule.seen[0])) == different
    task.measure(pictures(), generator())
    assert len(set(rule.seen[1])) == 4, "figures are taken with a structure for each picture"


def test_space_restricts_stage_one() -> None:
    task = stage_one(space={"levels": 1, "upsamplings": ["nearest"]})
    task.network = rule = Rule(lambda images: images)
    for number in range(10):
        task.loss(pictures(), generator(number))
    for structure in (one for seen in rule.seen for one in seen):
        assert [stage.upsampling for stage in structure.stages] == ["nearest"]


def test_perceptual_distance_is_frozen_and_steers() -> None:
    stub = StubDistance()
    task = stage_one(stub, squared_weight=0.0)
    assert not stub.training
    assert not stub.norm.training
    assert task.network.training
    task.loss(pictures(), generator())["loss"].backward()
    assert all(parameter.grad is None for parameter in stub.parameters())
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in task.network.parameters())
    task.eval()
    assert not any(module.training for module in task.modules())
    task.train()
    assert not stub.norm.training


@pytest.mark.parametrize("kind", ["stlpips-alex", "lpips-vgg"])
def test_true_distances_take_no_gradient(kind: str) -> None:
    torch.manual_seed(0)
    task = stage_one(PerceptualDistance(kind), batch=1)
    parts = task.loss(pictures(1, 64), generator())
    parts["loss"].backward()
    assert task.perceptual is not None
    assert not any(p.requires_grad or p.grad is not None for p in task.perceptual.parameters())
    alone = task.network.decoder.last.weight.grad.clone()
    task.zero_grad()
    task.perceptual = None
    task.loss(pictures(1, 64), generator())["loss"].backward()
    assert not torch.allclose(alone, task.network.decoder.last.weight.grad)


def test_figures_of_stage_one_by_hand() -> None:
    task = stage_one(StubDistance()).eval()
    shift = torch.tensor([0.1, 0.01]).view(2, 1, 1, 1)
    task.network = Rule(lambda images: images + shift)
    found = task.measure(pictures(2) * 0.5, generator())
    torch.testing.assert_close(found["psnr"], torch.tensor([20.0, 40.0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(found["perceptual"], torch.tensor([0.2, 0.02]), atol=1e-5, rtol=0)
    # What leaves [0, 1] is cut off first, as it would be in a file.
    task.network = Rule(lambda images: images + 7)
    found = task.measure(torch.full((1, 3, 16, 16), 0.9), generator())
    assert float(found["psnr"]) == pytest.approx(20.0, abs=1e-3)


def test_psnr_and_amplified() -> None:
    images = pictures(2)
    assert psnr(images, images).tolist() == [100.0, 100.0]
    torch.testing.assert_close(
        amplified(torch.tensor([0.0, 0.01, -0.03, 0.5, -0.5])), torch.tensor([0.5, 0.58, 0.26, 1.0, 0.0])
    )


def test_samples_of_stage_one() -> None:
    task = stage_one().eval()
    images = pictures()
    with torch.no_grad():
        rows = task.samples(images, generator(3))
        made = task.network(images, StructureSpace().draw_for(4, 4, generator(3)))
    assert list(rows) == ["image", "reconstruction", "residual"]
    assert torch.equal(rows["image"], images)
    torch.testing.assert_close(rows["reconstruction"], made)
    torch.testing.assert_close(rows["residual"], (0.5 + 8 * (images - made)).clamp(0, 1))


@pytest.mark.parametrize("shown", ["reconstructed", "original"])
def test_pairs_of_stage_two(shown: str) -> None:
    dair = Rule(lambda images: images * 0.5 + 0.1)
    task = stage_two(dair, model=TINY_EXTRACTOR.model_copy(update={"input": shown}))
    images = pictures()
    sees, target = task.pairs(images, generator())
    torch.testing.assert_close(target, (2 * images - 1) - (2 * (images * 0.5 + 0.1) - 1))
    torch.testing.assert_close(sees, images * 0.5 + 0.1 if shown == "reconstructed" else images)


@pytest.mark.parametrize("shown", ["reconstructed", "original"])
def test_loss_of_stage_two_by_hand(shown: str) -> None:
    task = stage_two(
        Rule(lambda images: images * 0.5), model=TINY_EXTRACTOR.model_copy(update={"input": shown})
    )
    task.network = Rule(lambda seen: 3 * seen)
    images = pictures()
    seen = images * 0.5 if shown == "reconstructed" else images
    expected = (3 * seen - 2 * (images - images * 0.5)).square().mean()
    torch.testing.assert_close(task.loss(images, generator())["loss"], expected)


def test_denoiser_predicts_the_noise_that_was_added() -> None:
    task = stage_two(None, target="noise", noise=(2.0, 10.0))
    images = torch.full((200, 3, 16, 16), 0.5)
    shown, target = task.pairs(images, generator(1))
    torch.testing.assert_close(shown, images + target / 2)
    deviations = (shown - images).std((1, 2, 3)) * 255  # grey levels
    assert 1.8 < deviations.min() < 2.5
    assert 9.5 < deviations.max() < 10.8
    assert float(deviations.mean()) == pytest.approx(6, abs=0.5)
    assert (shown - images).mean().abs() * 255 < 0.1
    again, _ = task.pairs(images, generator(1))
    assert torch.equal(again, shown)
    other, _ = task.pairs(images, generator(2))
    assert not torch.equal(other, shown)


def test_figures_of_stage_two_by_hand() -> None:
    task = stage_two(Rule(lambda images: images * 0.5)).eval()
    images = pictures(2)
    target = images  # 2 (I - I / 2)
    task.network = Rule(lambda _: target * torch.tensor([0.9, 2.0]).view(2, 1, 1, 1))
    found = task.measure(images, generator())
    power = target.square().mean((1, 2, 3))
    torch.testing.assert_close(found["zero"], power)
    torch.testing.assert_close(found["error"], power * torch.tensor([0.01, 1.0]))
    torch.testing.assert_close(found["gain"], torch.tensor([20.0, 0.0]), atol=1e-3, rtol=0)


def test_samples_of_stage_two() -> None:
    task = stage_two(Rule(lambda images: images * 0.99)).eval()
    task.network = Rule(lambda images: images * 0.04)
    images = pictures()
    rows = task.samples(images, generator())
    assert list(rows) == ["image", "shown", "residual", "signature"]
    torch.testing.assert_close(rows["shown"], images * 0.99)
    torch.testing.assert_close(rows["residual"], 0.5 + 8 * 0.01 * images, atol=1e-4, rtol=0)
    torch.testing.assert_close(rows["signature"], 0.5 + 8 * 0.02 * 0.99 * images, atol=1e-4, rtol=0)


def test_reconstructor_stays_as_it_is_and_keeps_drawing() -> None:
    torch.manual_seed(1)
    dair = Dair(TINY)
    task = stage_two(dair, structures=4)
    before = {name: value.clone() for name, value in dair.state_dict().items()}
    drawn: list[tuple[Structure, ...]] = []
    dair.register_forward_hook(lambda _, given, __: drawn.append(tuple(given[1])))
    optimiser = torch.optim.Adam(task.network.parameters(), lr=0.01)
    start = {name: value.clone() for name, value in task.network.state_dict().items()}
    for number in range(5):
        task.train()
        assert task.network.training
        assert not any(module.training for module in dair.modules())
        task.loss(pictures(), generator(number))["loss"].backward()
        optimiser.step()
    assert all(torch.equal(value, before[name]) for name, value in dair.state_dict().items())
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in dair.parameters())
    assert all(not torch.equal(value, start[name]) for name, value in task.network.state_dict().items())
    assert len({one for structures in drawn for one in structures}) == 20


def test_levels_restrict_stage_two() -> None:
    rule = Rule(lambda images: images)
    task = stage_two(rule, levels=1)
    for number in range(10):
        task.loss(pictures(), generator(number))
    assert {len(one.stages) for seen in rule.seen for one in seen} == {1}
    own = stage_two(rule, StructureSpace(levels=2, upsamplings=("shuffle",)), levels=1)
    assert own.space == StructureSpace(levels=1, upsamplings=("shuffle",))
    assert stage_two(rule, StructureSpace(levels=2)).space == StructureSpace(levels=2)


def test_mixed_precision_gives_float32_losses() -> None:
    torch.manual_seed(1)
    for task in (stage_one(StubDistance()), stage_two(Dair(TINY)), stage_two(None, target="noise")):
        with torch.no_grad():
            exact = task.loss(pictures(), generator())["loss"]
            with torch.autocast("cpu", torch.bfloat16):
                found = task.loss(pictures(), generator())["loss"]
        assert found.dtype == torch.float32
        assert float(found) == pytest.approx(float(exact), rel=0.1)


def test_perceptual_distance_needs_its_weights(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"lpips-vgg needs its weights: .*--weights"):
        build_dair(DairStage(), tmp_path, None)
    assert build_dair(DairStage(model=TINY, perceptual=None), tmp_path, None).perceptual is None


@pytest.mark.parametrize(
    ("schema", "values", "sentence"),
    [
        (DairStage, {"structures": 0}, "structures"),
        (DairStage, {"perceptual": "ssim"}, "perceptual"),
        (DairStage, {"squared_weight": -1}, "squared_weight"),
        (DairStage, {"crop": 100}, "crop"),
        (DairStage, {"crop": 24}, "crop"),
        (ExtractorStage, {"levels": 4}, "levels"),
        (ExtractorStage, {"noise": [5, 1]}, "noise must be a range within 0 to 255, got 5.0 to 1.0"),
        (ExtractorStage, {"noise": [-1, 1]}, "noise must be a range"),
        (ExtractorStage, {"noise": [0, 0]}, "noise must be a range"),
        (ExtractorStage, {"model": {"input": "both"}}, "input"),
        (ExtractorStage, {"learning_rat": 1}, "learning_rat"),
    ],
)
def test_wrong_options(schema: type[DairStage], values: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        schema.model_validate(values)


def test_order_and_rates_of_the_stages() -> None:
    assert [stage.name for stage in training.STAGES] == ["dair", "extractor"]
    assert DairStage().learning_rate == 1e-4
    assert ExtractorStage().learning_rate == 3e-4
    assert (DairStage().squared_weight, DairStage().perceptual_weight) == (1.0, 0.25)


def test_a_denoiser_is_measured_beside_the_extractor() -> None:
    # A denoiser that says a quarter of what it is shown, about grey: its gain follows by hand.
    class Quarter(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images / 4

    config = ExtractorStage(model=ExtractorConfig(width=8, blocks=1, groups=4), crop=32)
    torch.manual_seed(0)
    dair = Dair(DairConfig(encoder=(4, 8, 8), decoder=(8, 4, 4), groups=4))
    task = ExtractorTask(config, dair, StructureSpace()).eval()
    task.denoiser = [Quarter()]  # type: ignore[list-item]
    images = torch.rand(3, 3, 32, 32)
    shown, target = task.pairs(images, torch.Generator().manual_seed(1))
    found = task.measure(images, torch.Generator().manual_seed(1))
    said = -shown / 4  # what a reconstruction adds is the residual with the other sign
    error = ((said - target) ** 2).mean((1, 2, 3))
    torch.testing.assert_close(found["denoiser_error"], error)
    flat, wanted = said.flatten(1).double(), target.flatten(1).double()
    factor = (flat * wanted).sum(1) / (flat * flat).sum(1)
    best = ((flat * factor[:, None] - wanted) ** 2).mean(1)
    torch.testing.assert_close(found["denoiser_best_error"].double(), best, rtol=1e-4, atol=1e-7)
    assert (found["denoiser_best_error"] <= error + 1e-7).all()
    torch.testing.assert_close(
        found["denoiser_gain"], 10 * torch.log10((target**2).mean((1, 2, 3)) / error), rtol=1e-4, atol=1e-4
    )
    assert "denoiser_gain" not in ExtractorTask(config, dair, StructureSpace()).measure(
        images, torch.Generator().manual_seed(1)
    )
