import pytest
from metadata_blocks import INFOTEXT, exif_block, png_text

from vestige.provenance.exif_claims import exif_claims
from vestige.provenance.infotext import read_infotext
from vestige.provenance.text_claims import text_claims
from vestige.results import Claim


def check(claims: list[Claim], generator: str, prompt: str) -> None:
    assert [claim.statement for claim in claims[:2]] == [generator, prompt]
    assert {claim.points_to for claim in claims} == {"generated"}
    assert {claim.trust for claim in claims} == {"unsigned"}


def test_infotext() -> None:
    found = read_infotext(INFOTEXT)
    assert found is not None
    assert found.prompt == "a lighthouse at dusk, oil on canvas, (waves:1.2)"
    assert found.negative == "blurry, text"
    assert found.settings == {
        "steps": "20",
        "sampler": "Euler a",
        "cfg": "7",
        "seed": "965400086",
        "size": "512x768",
        "model_hash": "45dee52b",
        "model": "sd-v1-4",
        "version": "v1.10.1",
    }


def test_infotext_sentence() -> None:
    text = "a cat\nSteps: 20, Sampler: Y, Seed: 1, Model: X"
    check(
        text_claims(png_text({"parameters": text})),
        "PNG text holds Stable Diffusion parameters: model X, sampler Y, 20 steps, seed 1.",
        'PNG text holds the prompt "a cat".',
    )


@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le"])
def test_infotext_in_user_comment(encoding: str) -> None:
    block = exif_block({}, {0x9286: b"UNICODE\0" + INFOTEXT.encode(encoding)})
    check(
        exif_claims(block),
        "EXIF holds Stable Diffusion parameters: model sd-v1-4, sampler Euler a, 20 steps, seed 965400086, "
        "CFG scale 7, size 512x768, version v1.10.1.",
        'EXIF holds the prompt "a lighthouse at dusk, oil on canvas, (waves:1.2)".',
    )


@pytest.mark.parametrize(
    ("text", "prompt", "negative"),
    [
        ("Steps: 5, Sampler: LCM, Seed: 3", "", ""),
        ("Negative prompt: x\nSteps: 5, Sampler: LCM, Seed: 3", "", "x"),
        ("a, b.Negative prompt: x, y,.Steps: 26, Sampler: dpmpp_2m, Seed: 3", "a, b.", "x, y,."),
        ("Steps: 3 men climb\nSteps: 5, Sampler: LCM, Seed: 3", "Steps: 3 men climb", ""),
    ],
)
def test_infotext_without_some_parts(text: str, prompt: str, negative: str) -> None:
    found = read_infotext(text)
    assert found is not None
    assert (found.prompt, found.negative, found.settings["seed"]) == (prompt, negative, "3")


@pytest.mark.parametrize("version", ["f2.0.1v1.10.1-previous-560-g7eb824a0", "neo-2.1"])
def test_infotext_of_forge(version: str) -> None:
    found = read_infotext(f"Steps: 5, Sampler: LCM, Seed: 3, Version: {version}")
    assert found is not None
    assert found.what == "Stable Diffusion parameters (Forge)"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Steps: 10,000 a day",
        "How to bake. Steps: 4, Time: 20 min, Seed: poppy",
        "Sampler: Euler, Seed: 2",
    ],
)
def test_ordinary_text_is_no_infotext(text: str) -> None:
    assert read_infotext(text) is None
