"""GenSign's reconstructor: sizes, replay, grouping by structure, independence of batch mates."""

import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

from vestige.methods.gensign.dair import PAPER, SMALL, Dair, DairConfig
from vestige.methods.gensign.structure import (
    ACTIVATIONS,
    NORMALISATIONS,
    ORDERS,
    UPSAMPLINGS,
    Stage,
    Structure,
    StructureSpace,
    SubBlock,
)

TINY = DairConfig(encoder=(4, 6, 8), decoder=(6, 8, 4), groups=2)


def build(config: DairConfig = TINY, seed: int = 0) -> Dair:
    torch.manual_seed(seed)
    network = Dair(config).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.GroupNorm):  # fresh ones would hide a mix-up
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network


def draw(count: int, seed: int = 0, space: StructureSpace | None = None) -> list[Structure]:
    return (space or StructureSpace()).draw_for(count, count, torch.Generator().manual_seed(seed))


def structure(*upsamplings: str, normalisation: str = "batch", active: int = 1) -> Structure:
    block = {"activation": "gelu", "normalisation": normalisation, "order": ORDERS[0]}
    return Structure.model_validate(
        {"stages": [{"upsampling": kind, "sub_blocks": [block] * active} for kind in upsamplings]}
    )


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def convolution(inputs: int, outputs: int, size: int = 3) -> int:
    return size * size * inputs * outputs + outputs


def residual(channels: int) -> int:
    return 2 * (convolution(channels, channels) + 2 * channels)


def test_parameters_of_the_encoder() -> None:
    expected = (
        convolution(3, 64)
        + convolution(64, 64)
        + residual(64)
        + convolution(64, 128)
        + residual(128)
        + convolution(128, 256)
        + residual(256)
        + convolution(256, 256)
        + residual(256)
    )
    assert expected == 3_729_984
    with torch.device("meta"):
        assert count(Dair(PAPER).encoder) == expected


@pytest.mark.parametrize("router", ["pooled", "convolutional"])
@pytest.mark.parametrize("kernels", [1, 4])
def test_parameters_of_the_decoder(router: str, kernels: int) -> None:
    def dynamic(c: int) -> int:
        mixer = (c * c + c) + (c * kernels * c + kernels * c)
        looks = 2 * convolution(c, c) if router == "convolutional" else 0
        return kernels * convolution(c, c) + mixer + looks

    def stage(inputs: int, c: int) -> int:
        norms = 2 * c + 2 * c  # batch and group; the instance normalisation has none
        return convolution(inputs, c, 1) + convolution(c, 4 * c) + 2 * (dynamic(c) + norms)

    expected = stage(256, 128) + stage(128, 64) + stage(64, 32) + convolution(32, 3)
    config = PAPER.model_copy(update={"router": router, "kernels": kernels})
    with torch.device("meta"):
        assert count(Dair(config).decoder) == expected


@pytest.mark.parametrize("config", [PAPER, SMALL, TINY])
def test_maps_of_the_encoder(config: DairConfig) -> None:
    with torch.device("meta"):
        maps = Dair(config).encoder(torch.empty(2, 3, 32, 48))
    assert [tuple(found.shape) for found in maps] == [
        (2, width, 32 // scale, 48 // scale) for width, scale in zip(config.encoder, (2, 4, 8), strict=True)
    ]


@pytest.mark.parametrize("config", [SMALL, TINY])
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_size_is_kept(config: DairConfig, levels: int) -> None:
    drawn = structure(*UPSAMPLINGS[:levels])
    with torch.inference_mode():
        for size in ((16, 40), (8, 8), (64, 24)):
            found = build(config)(torch.rand(2, 3, *size), [drawn] * 2)
            assert found.shape == (2, 3, *size)
            assert found.isfinite().all()


@pytest.mark.parametrize("size", [(12, 16), (16, 20), (7, 8)])
def test_sides_that_are_no_multiples_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=rf"sides must be multiples of 8, got \({size[0]}, {size[1]}\)"):
        build()(torch.rand(1, 3, *size), draw(1))


@pytest.mark.parametrize("given", [0, 1, 3])
def test_a_structure_for_each_image(given: int) -> None:
    with pytest.raises(ValueError, match=f"2 images need as many structures, got {given}"):
        build()(torch.rand(2, 3, 16, 16), draw(given))


def batch_norm(x: Tensor, layer: nn.Module) -> Tensor:
    mean, variance, weight, bias = (
        value.double().view(-1, 1, 1)
        for value in (layer.running_mean, layer.running_var, layer.weight, layer.bias)
    )
    return (x - mean) / (variance + 1e-5).sqrt() * weight + bias


def group_norm(x: Tensor, groups: int, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    parts = x.reshape(len(x), groups, -1)
    parts = (parts - parts.mean(2, keepdim=True)) / (parts.var(2, correction=0, keepdim=True) + 1e-5).sqrt()
    x = parts.view_as(x)
    return x if weight is None or bias is None else x * weight.view(-1, 1, 1) + bias.view(-1, 1, 1)


def by_hand(network: Dair, images: Tensor, drawn: Structure) -> Tensor:
    """The description of the decoder, layer by layer, from the encoder's maps."""
    decoder, config = network.decoder, network.config
    start = len(drawn.stages)
    x = network.encoder(images * 2 - 1)[start - 1]
    for number, stage in enumerate(drawn.stages):
        layer = decoder.stages[3 - start + number]
        if number == 0:
            x = decoder.entries[3 - start](x)
        x = F.conv2d(x, layer.narrow.weight, layer.narrow.bias)
        if stage.upsampling == "nearest":
            x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        elif stage.upsampling == "shuffle":
            wide = F.conv2d(x, layer.shuffle[0].weight, layer.shuffle[0].bias, padding=1)
            x = torch.empty(len(x), x.shape[1], 2 * x.shape[2], 2 * x.shape[3], dtype=x.dtype)
            for dy in range(2):
                for dx in range(2):
                    x[..., dy::2, dx::2] = wide[:, 2 * dy + dx :: 4]
        else:
            x = F.interpolate(x, (2 * x.shape[2], 2 * x.shape[3]), mode=stage.upsampling)
        h = x
        for sub_block, choice in zip(layer.sub_blocks, stage.sub_blocks, strict=False):
            for part in choice.order:
                if part == "convolution":
                    h = sub_block.convolution(h)
                elif part == "activation":
                    h = {
                        "leaky-relu": lambda h: torch.where(h > 0, h, 0.2 * h),
                        "gelu": lambda h: h * 0.5 * (1 + torch.erf(h / 2**0.5)),
                        "silu": lambda h: h / (1 + torch.exp(-h)),
                    }[choice.activation](h)
                elif choice.normalisation == "batch":
                    h = batch_norm(h, sub_block.batch)
                elif choice.normalisation == "instance":
                    h = group_norm(h, h.shape[1])
                else:
                    h = group_norm(h, config.groups, sub_block.group.weight, sub_block.group.bias)
        x = h + x
    x = F.conv2d(x, decoder.last.weight, decoder.last.bias, padding=1)
    return (x + 1) / 2


@pytest.mark.parametrize("seed", range(8))
def test_decoder_by_hand(seed: int) -> None:
    network = build().double()
    images = torch.rand(2, 3, 16, 24, dtype=torch.float64)
    drawn = draw(1, seed)[0]
    with torch.no_grad():
        torch.testing.assert_close(network(images, [drawn] * 2), by_hand(network, images, drawn))


def test_every_single_choice_by_hand_and_all_differ() -> None:
    network = build().double()
    images = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    seen: list[Tensor] = []
    for upsampling in UPSAMPLINGS:
        for activation in ACTIVATIONS:
            for normalisation in NORMALISATIONS:
                for order in ORDERS:
                    block = SubBlock(activation=activation, normalisation=normalisation, order=order)
                    drawn = Structure(stages=(Stage(upsampling=upsampling, sub_blocks=(block,)),))
                    with torch.no_grad():
                        found = network(images, [drawn])
                        torch.testing.assert_close(found, by_hand(network, images, drawn))
                    seen.append(found.flatten())
    distances = torch.cdist(torch.stack(seen), torch.stack(seen))
    distances.fill_diagonal_(1)
    assert len(seen) == 4 * 54
    assert distances.min() > 1e-4


def test_replay_is_exact() -> None:
    network, again = build(seed=1), build(seed=2)
    again.load_state_dict(network.state_dict())
    images = torch.rand(6, 3, 24, 16)
    first = draw(6, seed=5)
    texts = [one.model_dump_json() for one in first]
    replayed = [Structure.model_validate_json(text) for text in texts]
    with torch.inference_mode():
        made = network(images, first)
        assert torch.equal(made, again(images, replayed))
        assert torch.equal(made, network(images, draw(6, seed=5)))
        assert not torch.equal(made, network(images, draw(6, seed=6)))


def test_reconstruction_is_about_the_unit_range_and_not_clamped() -> None:
    network = build()
    nn.init.zeros_(network.decoder.last.weight)
    with torch.inference_mode():
        for value, expected in ((-1.0, 0.0), (1.0, 1.0), (3.0, 2.0), (-2.0, -0.5)):  # [-1, 1] -> [0, 1]
            nn.init.constant_(network.decoder.last.bias, value)
            found = network(torch.rand(1, 3, 8, 8), draw(1))
            torch.testing.assert_close(found, torch.full_like(found, expected))


def test_each_image_gets_its_own_structure_back_in_its_place() -> None:
    network = build()
    images = torch.rand(7, 3, 16, 16)
    kinds = draw(3, seed=3)
    drawn = [kinds[index] for index in (2, 0, 1, 0, 2, 2, 1)]
    with torch.inference_mode():
        together = network(images, drawn)
        alone = torch.cat([network(image[None], [one]) for image, one in zip(images, drawn, strict=True)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-5)
    apart = (alone[:, None] - alone[None]).abs().amax((2, 3, 4)).fill_diagonal_(1)
    assert apart.min() > 0.01, "a mix-up would not be seen"


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_batch_mates_do_not_matter_in_eval_mode(normalisation: str) -> None:
    network = build()
    space = StructureSpace(normalisations=(normalisation,))
    image, mates = torch.rand(1, 3, 16, 16), torch.rand(3, 3, 16, 16) * 5 - 2
    drawn = draw(1, seed=1, space=space)
    with torch.inference_mode():
        alone = network(image, drawn)
        for others in (draw(3, seed=2), drawn * 3):
            found = network(torch.cat([mates[:1], image, mates[1:]]), others[:1] + drawn + others[1:])
            torch.testing.assert_close(found[1:2], alone, atol=1e-5, rtol=1e-5)


def test_groups_of_one_structure_give_the_same_gradient_as_a_mask() -> None:
    """The loss of a mixed batch is the sum of what each structure alone loses on its images."""
    network = build().double()
    images = torch.rand(4, 3, 8, 8, dtype=torch.float64)
    one, other = draw(2, seed=4)
    parameters = list(network.parameters())

    def gradient(loss: Tensor) -> list[Tensor]:
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
        return [torch.zeros_like(p) if g is None else g for g, p in zip(found, parameters, strict=True)]

    mixed = gradient(network(images, [one, other, one, other]).square().sum())
    alone = gradient(
        network(images[0::2], [one] * 2).square().sum() + network(images[1::2], [other] * 2).square().sum()
    )
    for a, b in zip(mixed, alone, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("router", ["pooled", "convolutional"])
def test_gradient_reaches_every_parameter_over_enough_draws(router: str) -> None:
    network = build(TINY.model_copy(update={"router": router})).train()
    images = torch.rand(8, 3, 16, 16)
    for seed in range(5):
        (network(images, draw(8, seed)) - images).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        if name.endswith("convolution.weight"):
            assert (parameter.grad.abs().flatten(1).amax(1) > 0).all(), f"{name}: a base kernel stays still"


def test_one_draw_leaves_the_other_stages_alone() -> None:
    network = build()
    network(torch.rand(1, 3, 8, 8), [structure("nearest")]).sum().backward()
    for name, parameter in network.decoder.stages.named_parameters():
        used = name.startswith(("2.narrow", "2.sub_blocks.0.convolution", "2.sub_blocks.0.batch"))
        assert (parameter.grad is not None) == used, name


def test_sub_blocks_have_weights_of_their_own() -> None:
    network = build()
    images = torch.rand(1, 3, 8, 8)
    with torch.inference_mode():
        one, two = (network(images, [structure("nearest", active=active)]) for active in (1, 2))
        assert not torch.allclose(one, two)
        nn.init.zeros_(network.decoder.stages[2].sub_blocks[1].convolution.weight)
        assert torch.equal(network(images, [structure("nearest")]), one)
        assert not torch.equal(network(images, [structure("nearest", active=2)]), two)


def test_both_mixes_reconstruct_alike() -> None:
    kernels, outputs = (
        build(TINY.model_copy(update={"mix": mix})).double() for mix in ("kernels", "outputs")
    )
    outputs.load_state_dict(kernels.state_dict())
    images, drawn = torch.rand(4, 3, 16, 16, dtype=torch.float64), draw(4)
    with torch.inference_mode():
        torch.testing.assert_close(kernels(images, drawn), outputs(images, drawn), rtol=1e-9, atol=1e-9)


def test_mixed_precision_takes_every_structure() -> None:
    network = build()
    images = torch.rand(12, 3, 16, 16)
    drawn = draw(8, seed=9) + [structure(kind, kind, kind) for kind in UPSAMPLINGS]
    with torch.inference_mode():
        with torch.autocast("cpu", torch.bfloat16):
            found = network(images, drawn)
        exact = network(images, drawn)
    assert found.shape == images.shape
    assert (found.float() - exact).abs().mean() < 0.05 * exact.std()


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"decoder": (48, 32, 16), "groups": 32},
            r"decoder channels \(48\) must be a multiple of groups \(32\)",
        ),
        ({"encoder": (0, 8, 8)}, "channels must be positive, got 0"),
        ({"kernels": 0}, "kernels"),
        ({"router": "magic"}, "router"),
        ({"width": 3}, "width"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        DairConfig.model_validate(values)


def test_training_mode_moves_batch_statistics_of_what_is_used() -> None:
    network = build().train()
    before = {name: value.clone() for name, value in network.named_buffers() if "running_mean" in name}
    with torch.no_grad():
        network(torch.rand(2, 3, 16, 16), [structure("nearest")] * 2)
    moved = {
        name for name, value in network.named_buffers() if name in before and (value != before[name]).any()
    }
    assert {name for name in moved if name.startswith("decoder")} == {
        "decoder.stages.2.sub_blocks.0.batch.running_mean"
    }
    assert len([name for name in moved if name.startswith("encoder")]) == 8  # two in each of four blocks


def test_values_do_not_depend_on_global_randomness() -> None:
    network, images, drawn = build(), torch.rand(2, 3, 8, 8), draw(2)
    torch.manual_seed(0)
    with torch.inference_mode():
        first = network(images, drawn)
        torch.manual_seed(1)
        assert torch.equal(first, network(images, drawn))
