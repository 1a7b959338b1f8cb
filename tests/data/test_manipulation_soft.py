"""Mixing with a reconstruction, and perturbations that keep the meaning."""

import io

import numpy as np
import pytest
import skimage.data
from PIL import Image
from pydantic import ValidationError

from vestige.data.manipulations import Inpaint, Mixing, Perturbation, Source
from vestige.data.manipulations.perturbation import Step
from vestige.data.masks import MaskOptions
from vestige.errors import ConfigError

HOST = np.ascontiguousarray(skimage.data.astronaut()[:96, 150:250])
STEPS: tuple[Step, ...] = ("jpeg", "blur", "sharpen", "noise", "tone", "colour", "rescale", "median")
NEGATIVE: dict[str, Inpaint] = {"negative": lambda pixels, mask: 255 - pixels}


def test_amounts_of_a_mixture_are_soft_and_the_formula_holds() -> None:
    for seed in range(6):
        done = Mixing().apply(HOST, np.random.default_rng(seed), None, NEGATIVE)
        negative = 255.0 - HOST
        expected = np.rint(HOST + done.amount[..., None].astype(np.float64) * (negative - HOST))
        assert np.array_equal(done.pixels, expected)
        inside = done.amount[done.mask]
        assert (done.amount == 0).any()
        assert (inside == 1).any()
        assert (inside < 1).mean() == pytest.approx(done.how["soft"], abs=0.1)
        assert np.array_equal(done.generated(0, None), done.amount)
        assert np.array_equal(done.changed(), done.amount)


def test_a_mixture_has_no_jumps() -> None:
    options = Mixing(soft=(0.9, 0.9), mask=MaskOptions(kinds=("ellipse",), area=(0.4, 0.6)))
    amount = options.apply(HOST, np.random.default_rng(0), None, NEGATIVE).amount
    assert max(np.abs(np.diff(amount, axis=axis)).max() for axis in (0, 1)) < 0.35


def test_mixing_needs_a_network() -> None:
    with pytest.raises(ConfigError, match="mixing needs at least one learned network"):
        Mixing().apply(HOST, np.random.default_rng(0), None, {})
    with pytest.raises(ConfigError, match="mixing names the networks other"):
        Mixing(networks=("other",)).apply(HOST, np.random.default_rng(0), None, NEGATIVE)


@pytest.mark.parametrize("step", STEPS)
def test_every_step_changes_pixels_but_not_what_they_show(step: Step) -> None:
    options = Perturbation(steps=(step,), whole=1)
    for seed in range(5):
        done = options.apply(HOST, np.random.default_rng(seed))
        assert [drawn["step"] for drawn in done.how["steps"]] == [step]
        assert not np.array_equal(done.pixels, HOST)
        grey = [pixels.mean(axis=2).ravel() for pixels in (HOST, done.pixels)]
        assert np.corrcoef(grey)[0, 1] > 0.9
        assert (done.amount == 1).all()
        assert (done.source == Source.PERTURBED).all()
        assert not done.changed().any()
        assert not done.generated(0, None).any()
        assert (done.generated(1, None) == 1).all()


def test_jpeg_is_the_codec_itself() -> None:
    done = Perturbation(steps=("jpeg",), whole=1).apply(HOST, np.random.default_rng(0))
    drawn = done.how["steps"][0]
    buffer = io.BytesIO()
    Image.fromarray(HOST).save(buffer, "JPEG", quality=drawn["quality"], subsampling=drawn["subsampling"])
    assert np.array_equal(done.pixels, np.asarray(Image.open(buffer)))


def test_noise_has_the_deviation_drawn() -> None:
    grey = np.full((128, 128, 3), 128, dtype=np.uint8)
    for seed in range(3):
        done = Perturbation(steps=("noise",), whole=1).apply(grey, np.random.default_rng(seed))
        difference = done.pixels.astype(float) - 128
        assert difference.std() == pytest.approx(done.how["steps"][0]["sigma"], rel=0.05)


def test_steps_are_drawn_once_each_and_as_many_as_asked_for() -> None:
    options = Perturbation(count=(2, 3))
    counts, drawn = set(), set()
    for seed in range(40):
        steps = [one["step"] for one in options.apply(HOST, np.random.default_rng(seed)).how["steps"]]
        assert len(set(steps)) == len(steps)
        counts.add(len(steps))
        drawn |= set(steps)
    assert counts == {2, 3}
    assert drawn == set(STEPS)


def test_the_whole_picture_is_taken_as_often_as_asked_for() -> None:
    options = Perturbation(steps=("median",), count=(1, 1), whole=0.3)
    whole = [options.apply(HOST, np.random.default_rng(seed)).mask.all() for seed in range(100)]
    assert 18 <= sum(whole) <= 43


def test_impossible_options_are_refused() -> None:
    with pytest.raises(ValidationError, match="range from 1"):
        Perturbation(count=(0, 2))
    with pytest.raises(ValidationError, match="range within 0 to 1"):
        Mixing(soft=(0.5, 1.5))
