"""Structures of simulated generators: counting, drawing, replaying."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from pydantic import ValidationError

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

# Limits of chi-square that chance exceeds once in 10,000 draws, by degrees of freedom.
CHI_SQUARE = {1: 15.1, 2: 18.4, 3: 21.1, 5: 25.7, 83: 139.7}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def all_structures(space: StructureSpace) -> Iterator[Structure]:
    """Every structure of a space, by enumeration."""
    blocks = [
        SubBlock(activation=activation, normalisation=normalisation, order=order)
        for activation in space.activations
        for normalisation in space.normalisations
        for order in itertools.permutations(("convolution", "activation", "normalisation"))
    ]
    stages = [
        Stage(upsampling=upsampling, sub_blocks=chosen)
        for upsampling in space.upsamplings
        for active in (1, 2)
        for chosen in itertools.product(blocks, repeat=active)
    ]
    for count in range(1, space.levels + 1):
        for chosen in itertools.product(stages, repeat=count):
            yield Structure(stages=chosen)


def test_count_of_the_paper() -> None:
    sub_block = 3 * 3 * 6  # activations, normalisations, orders of three parts
    assert sub_block == 54
    stage = 4 * (54 + 54**2)
    assert stage == 11_880
    assert StructureSpace(levels=1).count() == 11_880
    assert StructureSpace().count() == 11_880 + 11_880**2 + 11_880**3 == 1_676_817_818_280


@pytest.mark.parametrize(
    "space",
    [
        StructureSpace(levels=1),
        StructureSpace(levels=2, upsamplings=("nearest",), activations=("gelu",), normalisations=("group",)),
        StructureSpace(
            levels=1,
            upsamplings=("shuffle", "bicubic"),
            activations=("silu",),
            normalisations=("batch", "group"),
        ),
    ],
)
def test_count_is_that_of_an_enumeration(space: StructureSpace) -> None:
    found = set(all_structures(space))
    assert len(found) == space.count()


def chi_square(found: Counter[Any], expected: dict[Any, float]) -> float:
    assert set(found) <= set(expected), "something was drawn that is not in the space"
    return sum((found[key] - share) ** 2 / share for key, share in expected.items())


def test_draws_follow_the_product_of_uniform_choices() -> None:
    space = StructureSpace(
        levels=2, upsamplings=("nearest",), activations=("gelu",), normalisations=("batch",)
    )
    draws, rng = 6000, generator(1)
    # A stage is one of 6 with one sub-block or of 36 with two.
    stage = {1: 0.5 / 6, 2: 0.5 / 36}

    def share(structure: Structure) -> float:
        product = 0.5
        for one in structure.stages:
            product *= stage[len(one.sub_blocks)]
        return product

    expected: dict[Any, float] = {}
    for structure in all_structures(space):
        # Structures of two stages are too many to be counted one by one: by their upper stage.
        key = (len(structure.stages), structure.stages[0])
        expected[key] = expected.get(key, 0.0) + draws * share(structure)
    assert len(expected) == 84
    assert sum(expected.values()) == pytest.approx(draws)
    found = Counter(
        (len(structure.stages), structure.stages[0]) for structure in (space.draw(rng) for _ in range(draws))
    )
    assert chi_square(found, expected) < CHI_SQUARE[len(expected) - 1]


def test_every_choice_is_reached_evenly() -> None:
    rng = generator(2)
    drawn = [StructureSpace().draw(rng) for _ in range(1500)]
    stages = [stage for structure in drawn for stage in structure.stages]
    blocks = [block for stage in stages for block in stage.sub_blocks]
    for found, choices in (
        (Counter(len(structure.stages) for structure in drawn), (1, 2, 3)),
        (Counter(stage.upsampling for stage in stages), UPSAMPLINGS),
        (Counter(len(stage.sub_blocks) for stage in stages), (1, 2)),
        (Counter(block.activation for block in blocks), ACTIVATIONS),
        (Counter(block.normalisation for block in blocks), NORMALISATIONS),
        (Counter(block.order for block in blocks), ORDERS),
    ):
        expected = {choice: sum(found.values()) / len(choices) for choice in choices}
        assert chi_square(found, expected) < CHI_SQUARE[len(choices) - 1]


def test_same_seed_same_structures() -> None:
    first, second = ([StructureSpace().draw(rng) for _ in range(20)] for rng in (generator(7), generator(7)))
    assert first == second
    other = generator(8)
    assert first != [StructureSpace().draw(other) for _ in range(20)]


def test_only_the_passed_generator_is_used() -> None:
    before = torch.get_rng_state()
    StructureSpace().draw_for(4, 4, generator())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_structure_is_a_value() -> None:
    rng = generator(3)
    for _ in range(30):
        structure = StructureSpace().draw(rng)
        text = structure.model_dump_json()
        again = Structure.model_validate_json(text)
        assert again == structure
        assert hash(again) == hash(structure)
        assert again.model_dump_json() == text
        assert Structure.model_validate(json.loads(text)) == structure
    with pytest.raises(ValidationError, match="frozen"):
        structure.stages = ()


def test_structures_that_differ_anywhere_are_not_equal() -> None:
    block = SubBlock(activation="gelu", normalisation="batch", order=ORDERS[0])
    stage = Stage(upsampling="nearest", sub_blocks=(block,))
    others = [
        Structure(stages=(stage, stage)),
        Structure(stages=(stage.model_copy(update={"upsampling": "bilinear"}),)),
        Structure(stages=(stage.model_copy(update={"sub_blocks": (block, block)}),)),
        *(
            Structure(stages=(Stage(upsampling="nearest", sub_blocks=(block.model_copy(update=change),)),))
            for change in ({"activation": "silu"}, {"normalisation": "group"}, {"order": ORDERS[1]})
        ),
    ]
    assert len({Structure(stages=(stage,)), *others}) == 1 + len(others)


@pytest.mark.parametrize("levels", [1, 2, 3])
def test_levels_restrict(levels: int) -> None:
    rng = generator(4)
    drawn = {len(StructureSpace(levels=levels).draw(rng).stages) for _ in range(100)}
    assert drawn == set(range(1, levels + 1))


def test_choices_restrict() -> None:
    space = StructureSpace(upsamplings=("shuffle",), activations=("silu", "gelu"), normalisations=("group",))
    rng = generator(5)
    stages = [stage for _ in range(100) for stage in space.draw(rng).stages]
    blocks = [block for stage in stages for block in stage.sub_blocks]
    assert {stage.upsampling for stage in stages} == {"shuffle"}
    assert {block.activation for block in blocks} == {"silu", "gelu"}
    assert {block.normalisation for block in blocks} == {"group"}


@pytest.mark.parametrize(
    ("images", "structures", "pattern"),
    [(5, 1, [0] * 5), (5, 2, [0, 1, 0, 1, 0]), (4, 4, [0, 1, 2, 3]), (3, 8, [0, 1, 2]), (1, 1, [0])],
)
def test_structures_of_a_batch(images: int, structures: int, pattern: list[int]) -> None:
    found = StructureSpace().draw_for(images, structures, generator(6))
    rng = generator(6)
    drawn = [StructureSpace().draw(rng) for _ in range(max(pattern) + 1)]
    assert len(set(drawn)) == len(drawn)
    assert found == [drawn[position] for position in pattern]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"levels": 4}, "levels"),
        ({"levels": 0}, "levels"),
        ({"upsamplings": []}, "upsamplings"),
        ({"upsamplings": ["cubic"]}, "upsamplings"),
        ({"activations": ["gelu", "gelu"]}, "activations names a choice twice: gelu, gelu"),
        ({"kernels": 4}, "kernels"),
    ],
)
def test_spaces_that_make_no_sense_are_refused(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        StructureSpace.model_validate(values)


def test_structures_that_make_no_sense_are_refused() -> None:
    block = {"activation": "gelu", "normalisation": "batch", "order": list(ORDERS[0])}
    SubBlock.model_validate(block)
    with pytest.raises(ValidationError, match="order must hold each of the three parts once"):
        SubBlock.model_validate(block | {"order": ["activation", "activation", "convolution"]})
    with pytest.raises(ValidationError, match="sub_blocks"):
        Stage.model_validate({"upsampling": "nearest", "sub_blocks": [block] * 3})
    with pytest.raises(ValidationError, match="stages"):
        Structure.model_validate({"stages": []})
