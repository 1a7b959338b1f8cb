"""GAMMA's segmentation branch, reverse cross-attention and losses, each by itself."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vestige.methods.gamma.attention import AttentionOptions, CrossAttention, ReverseAttention
from vestige.methods.gamma.heads import HeadName, Segmentation
from vestige.methods.gamma.losses import (
    LossWeights,
    balanced_cross_entropy,
    segmentation_losses,
    soft_dice,
    targets,
)
from vestige.nn.segmentation import ChannelNorm, Neck, SeparableBlock

torch.set_num_threads(1)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("heads", "count"), [((), 1), (("source",), 1), (("source", "manipulated"), 2)])
def test_shapes_of_the_branch(heads: tuple[HeadName, ...], count: int) -> None:
    torch.manual_seed(0)
    branch = Segmentation((6, 10), 8, 2, heads)
    found = branch(noise(3, 6, 8, 8), noise(3, 10, 4, 4))
    assert [tensor.shape for tensor in found.features] == [(3, 8, 8, 8)] * count
    assert list(found.logits) == list(heads)
    assert all(logits.shape == (3, 1, 8, 8) for logits in found.logits.values())


def test_heads_share_the_trunk_and_nothing_else() -> None:
    torch.manual_seed(0)
    branch = Segmentation((6,), 8, 1, ("manipulated", "source"))
    branch(noise(2, 6, 4, 4)).logits["source"].sum().backward()
    moved = {name for name, parameter in branch.named_parameters() if parameter.grad is not None}
    assert any(name.startswith("trunk.") for name in moved)
    assert any(name.startswith("heads.source") for name in moved)
    assert not any(name.startswith("heads.manipulated") for name in moved)


def test_neck_by_hand() -> None:
    torch.manual_seed(0)
    neck = Neck((3, 5), 4)
    fine, coarse = noise(2, 3, 8, 8), noise(2, 5, 4, 4, seed=1)
    first, second = neck.projections
    assert isinstance(first, nn.Conv2d)
    assert isinstance(second, nn.Conv2d)
    with torch.inference_mode():
        found = neck(fine, coarse)
        for row, column in ((0, 0), (7, 7)):  # at the corners the nearest coarse place alone counts
            seen = first.weight[:, :, 0, 0] @ fine[0, :, row, column] + first.bias
            seen += second.weight[:, :, 0, 0] @ coarse[0, :, row // 2, column // 2] + second.bias
            expected = (seen - seen.mean()) / (seen.var(correction=0) + 1e-5).sqrt()
            torch.testing.assert_close(found[0, :, row, column], expected, atol=1e-5, rtol=1e-4)


def test_norm_looks_at_one_place() -> None:
    norm = ChannelNorm(8)
    x = noise(2, 8, 4, 4)
    other = x.clone()
    other[:, :, 0, 0] = 100 * noise(2, 8)
    with torch.inference_mode():
        assert torch.equal(norm(x)[:, :, 1:], norm(other)[:, :, 1:])
        torch.testing.assert_close(norm(x), norm(x.contiguous(memory_format=torch.channels_last)))


def test_blocks_look_at_neighbours_only() -> None:
    torch.manual_seed(0)
    block = SeparableBlock(6)
    x = noise(1, 6, 7, 7)
    other = x.clone()
    other[:, :, 3, 3] += 5
    with torch.inference_mode():
        moved = (block(x) - block(other)).abs().sum((0, 1)) > 1e-6
    expected = torch.zeros(7, 7, dtype=torch.bool)
    expected[2:5, 2:5] = True
    assert torch.equal(moved, expected)


def test_attention_is_pytorchs() -> None:
    torch.manual_seed(0)
    ours, theirs = CrossAttention(12, 3), nn.MultiheadAttention(12, 3, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key.bias, ours.value.bias]))
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    tokens, memory = noise(2, 5, 12), noise(2, 9, 12, seed=1)
    expected, _ = theirs(tokens, memory, memory)
    torch.testing.assert_close(ours(tokens, memory), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("queries", "depth"), [(0, 1), (4, 1), (2, 3)])
@pytest.mark.parametrize("logits", [False, True])
def test_tokens_of_the_attention(queries: int, depth: int, logits: bool) -> None:
    torch.manual_seed(0)
    options = AttentionOptions(queries=queries, heads=2, depth=depth)
    attention = ReverseAttention(options, summary=7, width=8, sources=2, logits=logits)
    found = (noise(3, 8, 4, 4), noise(3, 8, 4, 4, seed=1))
    said = (noise(3, 1, 4, 4, seed=2), noise(3, 1, 4, 4, seed=3)) if logits else ()
    with torch.inference_mode():
        tokens = attention(noise(3, 7), found, said)
        assert tokens.shape == (3, 1 + queries, 8)
        assert attention.tokens == 1 + queries
        # Where something was found has no say but through the features: any order of places will do.
        order = torch.randperm(16)
        shuffled, shuffled_said = (
            tuple(some.flatten(2)[..., order].unflatten(2, (4, 4)) for some in maps) for maps in (found, said)
        )
        again = attention(noise(3, 7), shuffled, shuffled_said)
        torch.testing.assert_close(again, tokens, atol=1e-5, rtol=1e-5)
        swapped = attention(noise(3, 7), found[::-1], said[::-1])
        assert (swapped - tokens).abs().max() > 1e-3, "whose features these are counts"


def test_reverse_attention_by_hand() -> None:
    """One token, one head, one place: softmax over a single key is 1, the value alone remains."""
    torch.manual_seed(0)
    attention = ReverseAttention(AttentionOptions(queries=0, heads=1), 5, 6, sources=1, logits=True)
    summary, features, logit = noise(2, 5), noise(2, 6, 1, 1, seed=1), noise(2, 1, 1, 1, seed=2)
    layer, read = attention.layers[0], attention.memories[0]
    with torch.inference_mode():
        memory = read(torch.cat([features.flatten(1), logit.flatten(1)], 1))
        value = layer.attention.value(F.layer_norm(memory, (6,)))  # type: ignore[union-attr,operator]
        token = attention.project(summary) + layer.attention.out(value)  # type: ignore[union-attr,operator]
        token = token + layer.feed_forward(token)  # type: ignore[operator]
        expected = F.layer_norm(token, (6,))
        found = attention(summary, (features,), (logit,))[:, 0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_cross_entropy_by_hand() -> None:
    """Six cells: two generated, three real, one half and half; log-odds 2 is p = 0.8808, -1 is 0.2689."""
    logits = torch.tensor([2.0, -1.0, 2.0, -1.0, 0.0, 0.0])
    shares = torch.tensor([1.0, 1.0, 0.0, 0.0, 0.0, 0.5])
    wrong_p, right_p = 1 / (1 + math.exp(1)), 1 / (1 + math.exp(-2))
    positive = (-math.log(right_p) - math.log(wrong_p) + 0.5 * math.log(2)) / 2.5
    negative = (-math.log(1 - right_p) - math.log(1 - wrong_p) + 1.5 * math.log(2)) / 3.5
    found = balanced_cross_entropy(logits, shares)
    assert found.item() == pytest.approx((positive + negative) / 2, rel=1e-6)


def test_classes_count_the_same_however_rare() -> None:
    logits = torch.cat([torch.full((5,), -1.0), torch.full((995,), -3.0)])
    shares = torch.cat([torch.ones(5), torch.zeros(995)])
    few = balanced_cross_entropy(logits, shares)
    many = balanced_cross_entropy(
        torch.tensor([-1.0] * 500 + [-3.0] * 500), torch.tensor([1.0] * 500 + [0.0] * 500)
    )
    torch.testing.assert_close(few, many)


def test_a_class_that_is_not_there() -> None:
    zeros = torch.zeros(10)
    assert balanced_cross_entropy(zeros, zeros).item() == pytest.approx(math.log(2) / 2)
    assert balanced_cross_entropy(zeros, zeros + 1).item() == pytest.approx(math.log(2) / 2)
    sliver = balanced_cross_entropy(zeros, torch.tensor([0.1] + [0.0] * 9))
    assert sliver.item() == pytest.approx(math.log(2) / 2 * 1.1, rel=1e-5)


def test_cross_entropy_is_lowest_at_the_share() -> None:
    share = torch.full((8,), 0.25)
    # Balanced, a quarter weighs as much as the three others: the odds are even.
    values = [balanced_cross_entropy(torch.full((8,), z), share).item() for z in (-0.5, 0.0, 0.5)]
    assert values[1] == min(values)


def test_dice_by_hand() -> None:
    logits = torch.tensor([0.0, 50.0, -50.0])
    shares = torch.tensor([1.0, 1.0, 0.0])
    found = soft_dice(logits, shares)
    assert found.item() == pytest.approx(1 - (2 * 1.5 + 1) / (1.25 + 2 + 1), rel=1e-6)
    shares = torch.tensor([0.5, 0.9, 0.1])
    assert soft_dice(torch.logit(shares), shares).item() == pytest.approx(0, abs=1e-6)


def test_targets_are_means_of_cells() -> None:
    truth = torch.arange(2 * 2 * 8 * 8).float().reshape(2, 2, 8, 8) / 256
    for head, channel in (("manipulated", 0), ("source", 1)):
        found = targets(truth, head, (4, 4))
        assert found.shape == (2, 1, 4, 4)
        for picture, row, column in ((0, 0, 0), (1, 3, 2)):
            cells = truth[picture, channel, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            torch.testing.assert_close(found[picture, 0, row, column], cells.mean())
        assert torch.equal(targets(truth, head, (8, 8)), truth[:, channel : channel + 1])


def test_losses_of_both_heads() -> None:
    logits = {"manipulated": noise(3, 1, 4, 4), "source": noise(3, 1, 4, 4, seed=1)}
    truth = noise(3, 2, 8, 8, seed=2).sigmoid()
    weights = LossWeights(manipulated=0.25, source=2, dice=0.5)
    found = segmentation_losses(logits, truth, weights)
    assert list(found) == ["manipulated", "source"]
    for name, weight in (("manipulated", 0.25), ("source", 2)):
        shares = targets(truth, name, (4, 4))
        one = balanced_cross_entropy(logits[name], shares) + 0.5 * soft_dice(logits[name], shares)
        torch.testing.assert_close(found[name], weight * one)
    source = {"source": logits["source"]}
    assert list(segmentation_losses(source, truth, LossWeights())) == ["source"]


def test_parts_have_a_weight_of_their_own() -> None:
    """One view half generated, one wholly generated, one real; all logits 0 but in the half of the first."""
    logits = torch.zeros(3, 1, 2, 2)
    logits[0, 0, 0] = 2.0
    truth = torch.zeros(3, 2, 2, 2)
    truth[0, 1, 0], truth[1, 1] = 1.0, 1.0

    def softplus(value: float) -> float:
        return math.log(1 + math.exp(value))

    of_part = (softplus(-2.0) + softplus(0.0)) / 2
    of_others = softplus(0.0)
    weighted = segmentation_losses({"source": logits}, truth, LossWeights(source=1.0, parts=0.75))["source"]
    assert weighted.item() == pytest.approx(0.75 * of_part + 0.25 * of_others, abs=1e-6)
    # Together: 2 of the 6 generated cells have logit 2, all others 0.
    together = ((2 * softplus(-2.0) + 4 * softplus(0.0)) / 6 + softplus(0.0)) / 2
    plain = segmentation_losses({"source": logits}, truth, LossWeights(source=1.0))["source"]
    assert plain.item() == pytest.approx(together, abs=1e-6)
    whole = segmentation_losses({"source": logits[1:]}, truth[1:], LossWeights(source=1.0, parts=0.75))[
        "source"
    ]
    assert whole.item() == pytest.approx(softplus(0.0), abs=1e-6), "no view with a part"
