"""What holds for every manipulation, and what is known of each pixel afterwards."""

import json
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from vestige.data.manipulations import (
    ClassicalInpainting,
    CopyMove,
    Inpaint,
    LearnedInpainting,
    Manipulated,
    Manipulation,
    ManipulationOptions,
    ManipulationSet,
    Mixing,
    PatchInpainting,
    Perturbation,
    Pixels,
    Source,
    Splicing,
)
from vestige.data.manipulations.base import compose, feathered
from vestige.data.manipulations.mixing import _soft_amount
from vestige.errors import ConfigError, DataError

HOST = skimage.data.astronaut()
DONOR = skimage.data.coffee()
NETWORKS: dict[str, Inpaint] = {
    "seven": lambda pixels, mask: np.full_like(pixels, 7),
    "negative": lambda pixels, mask: 255 - pixels,
}
KINDS: list[tuple[Manipulation, Source]] = [
    (ClassicalInpainting(), Source.COMPUTED),
    (PatchInpainting(), Source.COMPUTED),
    (LearnedInpainting(), Source.NETWORK),
    (CopyMove(), Source.MOVED),
    (Splicing(), Source.OTHER),
    (Mixing(), Source.NETWORK),
    (Perturbation(), Source.PERTURBED),
]


def crop(height: int, width: int) -> Pixels:
    return np.ascontiguousarray(HOST[60 : 60 + height, 150 : 150 + width])


@pytest.mark.parametrize(("options", "source"), KINDS, ids=[options.kind for options, _ in KINDS])
@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.integers(32, 72), st.integers(32, 72), st.integers(20, 80))
def test_every_kind_keeps_what_is_outside_and_says_what_is_inside(
    options: Manipulation, source: Source, seed: int, height: int, width: int, donor_side: int
) -> None:
    host = crop(height, width)
    before = host.copy()
    done = options.apply(host, np.random.default_rng(seed), DONOR[:donor_side, :40], NETWORKS)
    assert np.array_equal(host, before), "the host itself stays as it is"
    assert (done.pixels.shape, done.pixels.dtype) == (host.shape, np.uint8)
    assert (done.amount.shape, done.amount.dtype) == ((height, width), np.float32)
    assert (done.source.shape, done.source.dtype) == ((height, width), np.uint8)
    assert done.amount.min() >= 0
    assert done.amount.max() == 1, "some content is new altogether"
    assert np.array_equal(done.pixels[~done.mask], host[~done.mask])
    assert np.array_equal(done.source == Source.KEPT, done.amount == 0)
    assert set(np.unique(done.source[done.mask])) == {source}
    assert np.array_equal(np.rint(done.amount * 255) / np.float32(255), done.amount)
    assert done.kind == options.kind
    assert json.loads(json.dumps(done.how)) == done.how
    if options.kind != "perturbation" or done.how["mask"] != "whole":
        assert not done.mask.all()


@pytest.mark.parametrize("options", [options for options, _ in KINDS], ids=lambda options: options.kind)
def test_the_generator_decides(options: Manipulation) -> None:
    host = crop(64, 72)
    first, again, other = (
        options.apply(host, np.random.default_rng(seed), DONOR, NETWORKS) for seed in (3, 3, 4)
    )
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.amount, again.amount)
    assert first.how == again.how
    assert not np.array_equal(first.amount, other.amount)
    assert first.how != other.how


@pytest.mark.parametrize("options", [options for options, _ in KINDS], ids=lambda options: options.kind)
def test_very_long_pictures(options: Manipulation) -> None:
    host = np.ascontiguousarray(HOST[200:232])
    for pixels in (host, np.ascontiguousarray(host.transpose(1, 0, 2))):
        done = options.apply(pixels, np.random.default_rng(5), DONOR[:50, :30], NETWORKS)
        assert np.array_equal(done.pixels[~done.mask], pixels[~done.mask])
        assert done.amount.max() == 1


@pytest.mark.parametrize("options", [options for options, _ in KINDS[:6]], ids=lambda options: options.kind)
def test_small_pictures_are_refused(options: Manipulation) -> None:
    with pytest.raises(DataError, match="too small"):
        options.apply(crop(31, 64), np.random.default_rng(0), DONOR, NETWORKS)


def test_what_a_kind_needs() -> None:
    needs = {options.kind: (options.needs_donor, options.needs_networks) for options, _ in KINDS}
    assert {kind for kind, (donor, _) in needs.items() if donor} == {"splicing"}
    assert {kind for kind, (_, networks) in needs.items() if networks} == {"inpainting-learned", "mixing"}
    for options, _ in KINDS:
        if not options.needs_donor and not options.needs_networks:
            options.apply(crop(40, 40), np.random.default_rng(0), None, {})


def test_changed_and_generated_against_a_table() -> None:
    source = np.arange(6, dtype=np.uint8)[None]
    amount = np.array([[0, 0.5, 0.25, 0.5, 1, 0.75]], dtype=np.float32)
    done = Manipulated(np.zeros((1, 6, 3), np.uint8), amount, source, "test", {})
    assert done.mask.tolist() == [[False, True, True, True, True, True]]
    #                                kept, perturbed, moved, other, computed, network
    assert done.changed().tolist() == [[0, 0, 0.25, 0.5, 1, 0.75]]
    assert done.generated(0, 0).tolist() == [[0, 0, 0, 0, 0, 0.75]]
    assert done.generated(0, 1).tolist() == [[0, 0, 0, 0.5, 0, 0.75]]
    assert done.generated(1, 0).tolist() == [[1, 1, 1, 0.5, 1, 1]]
    assert done.generated(1, 1).tolist() == [[1, 1, 1, 1, 1, 1]]
    assert done.changed().dtype == done.generated(0, 1).dtype == np.float32


def test_the_label_of_a_donor_is_needed_only_where_there_is_one() -> None:
    host = crop(40, 40)
    spliced = Splicing().apply(host, np.random.default_rng(0), DONOR)
    with pytest.raises(ConfigError, match="label of that picture"):
        spliced.generated(0, None)
    copied = CopyMove().apply(host, np.random.default_rng(0))
    assert not copied.generated(0, None).any()
    assert copied.generated(1, None).min() == 1


def test_compose_is_the_formula() -> None:
    rng = np.random.default_rng(0)
    host, new = (rng.integers(0, 256, (20, 30, 3), dtype=np.uint8) for _ in range(2))
    levels = rng.integers(0, 256, (20, 30))
    done = compose(host, new, (levels / 255).astype(np.float32), Source.MOVED, "test", {})
    # rint(host + level / 255 * (new - host)) in whole numbers; 255 is odd, so nothing lies half way.
    numerator = host.astype(int) * 255 + levels[..., None] * (new.astype(int) - host)
    assert np.array_equal(done.pixels, (2 * numerator + 255) // 510)
    assert np.array_equal(done.amount * 255, levels)
    # An amount that rounds to nothing is nothing.
    little = compose(host, new, np.full((20, 30), 0.4 / 255, np.float32), Source.MOVED, "test", {})
    assert np.array_equal(little.pixels, host)
    assert not little.source.any()


def test_new_content_of_another_size_is_refused() -> None:
    small: dict[str, Inpaint] = {"small": lambda pixels, mask: pixels[:10]}
    with pytest.raises(ConfigError, match=r"uint8 \[10, 40, 3\], it must be uint8 \[40, 40, 3\]"):
        LearnedInpainting().apply(crop(40, 40), np.random.default_rng(0), None, small)


def test_feathering_rises_inwards() -> None:
    mask = np.zeros((9, 21), dtype=bool)
    mask[:, 5:16] = True  # 11 columns wide; the distance from outside is 1, 2, ..., 6, ..., 2, 1
    distance = np.array([0] * 5 + [1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1] + [0] * 5)
    assert np.allclose(feathered(mask, 0), mask)
    assert np.allclose(feathered(mask, 3), np.minimum(distance / 4, 1))
    assert np.allclose(feathered(mask, 50), distance / 6), "the middle of a thin mask reaches 1"


def test_distances_in_the_last_digits_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV's depend on the alignment of memory."""
    mask = np.zeros((40, 60), dtype=bool)
    mask[5:33, 7:51] = True
    before = feathered(mask, 9.3), _soft_amount(mask, 0.7, np.random.default_rng(0))
    exact = cv2.distanceTransform

    def shifted(*arguments: Any) -> Any:
        return np.nextafter(np.nextafter(exact(*arguments), np.float32(0)), np.float32(0))

    monkeypatch.setattr(cv2, "distanceTransform", shifted)
    after = feathered(mask, 9.3), _soft_amount(mask, 0.7, np.random.default_rng(0))
    assert all(np.array_equal(one, other) for one, other in zip(before, after, strict=True))


def test_sets_name_each_kind_once() -> None:
    both = ManipulationSet.model_validate({"kinds": [{"kind": "splicing"}, {"kind": "copy-move", "flip": 0}]})
    assert [type(options) for options in both.kinds] == [Splicing, CopyMove]
    assert both.per_group == 8
    with pytest.raises(ValidationError, match="more than once: splicing"):
        ManipulationSet(kinds=(Splicing(), Mixing(), Splicing(blendings=("paste",))))
    with pytest.raises(ValidationError, match="kind"):
        ManipulationSet.model_validate({"kinds": [{"kind": "unheard-of"}]})
    with pytest.raises(ValidationError, match="at least 1"):
        ManipulationSet(kinds=())


@pytest.mark.parametrize("options", [options for options, _ in KINDS], ids=lambda options: options.kind)
def test_options_survive_json(options: Manipulation) -> None:
    adapter: TypeAdapter[ManipulationOptions] = TypeAdapter(ManipulationOptions)
    assert adapter.validate_json(options.model_dump_json()) == options
    with pytest.raises(ValidationError, match="Extra inputs"):
        adapter.validate_python({"kind": options.kind, "misspelt": 1})
