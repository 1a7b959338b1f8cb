import io
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from score_samples import scores_of

from vestige.evaluation.thumbnails import PER_GROUP, thumbnail, worst


def test_worst_are_in_order_and_of_the_right_class():
    scores = scores_of([0, 1, 0, 1, 0], [1, 2, 3, -4, 5], groups=list("abcde"))
    assert worst(scores) == ([4, 2, 0], [3, 1])
    assert worst(scores, count=1) == ([4], [3])


def test_worst_takes_three_of_a_group():
    scores = scores_of([0] * 6 + [1] * 5, range(11), groups=["a"] * 5 + ["b"] + ["g"] * 4 + ["h"])
    assert worst(scores) == ([5, 4, 3, 2], [6, 7, 8, 10])


def test_equal_scores_keep_the_order_of_the_manifest():
    assert worst(scores_of([0, 0, 1, 1], [1, 1, 1, 1])) == ([0, 1], [2, 3])


def test_nothing_of_nothing():
    assert worst(scores_of([], [])) == ([], [])


@given(
    st.lists(st.tuples(st.sampled_from([0, 1]), st.integers(-5, 5), st.sampled_from("abc")), max_size=40),
    st.integers(0, 12),
)
def test_worst_obeys_cap_count_and_order(pictures, count):
    labels, logits, groups = ([one[n] for one in pictures] for n in range(3))
    scores = scores_of(labels, logits, groups=groups)
    for label, sign, found in zip((0, 1), (-1, 1), worst(scores, count), strict=True):
        assert len(found) <= count
        assert all(labels[n] == label for n in found)
        assert max(Counter(groups[n] for n in found).values(), default=0) <= PER_GROUP
        keys = [sign * logits[n] for n in found]
        assert keys == sorted(keys)
        # Whatever is left out is no worse than all that is shown, or its group is full.
        left = set(range(len(labels))) - set(found)
        full = {name for name, number in Counter(groups[n] for n in found).items() if number == PER_GROUP}
        if len(found) < count:
            assert all(labels[n] != label or groups[n] in full for n in left)
        elif found:
            assert all(labels[n] != label or groups[n] in full or sign * logits[n] >= keys[-1] for n in left)


def png(width, height, value=200):
    buffer = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), value, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("size", "expected"), [((400, 200), (160, 80)), ((100, 300), (53, 160)), ((30, 20), (30, 20))]
)
def test_thumbnail_fits_and_keeps_the_shape(size, expected, tmp_path):
    (tmp_path / "a.png").write_bytes(png(*size))
    for content in (png(*size), tmp_path / "a.png"):
        found = Image.open(io.BytesIO(thumbnail(content)))
        assert (found.format, found.size) == ("JPEG", expected)
        assert abs(float(np.asarray(found).mean()) - 200) < 2


def test_thumbnails_are_the_same_every_time():
    assert thumbnail(png(400, 300)) == thumbnail(png(400, 300))


@pytest.mark.parametrize("content", [b"", b"no picture", png(300, 300)[:200]])
def test_what_cannot_be_read_becomes_a_card(content, tmp_path):
    card = Image.open(io.BytesIO(thumbnail(content, side=120)))
    assert (card.format, card.size) == ("JPEG", (120, 120))
    # Something is written on it.
    assert np.asarray(card.convert("L")).std() > 5
    assert thumbnail(tmp_path / "absent.png", side=120) != thumbnail(b"no picture", side=120)
