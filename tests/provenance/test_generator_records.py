import json
import time

import pytest
from metadata_blocks import png_text

from vestige.provenance.generation import Generation, read_object
from vestige.provenance.generators import read_fields, read_text
from vestige.provenance.text_claims import text_claims
from vestige.results import Claim


def only(fields: dict[str, str]) -> Generation:
    """The one record in a PNG file with these text chunks."""
    (found,) = read_fields(png_text(fields))
    return found


def check(claims: list[Claim], generator: str, prompt: str) -> None:
    assert [claim.statement for claim in claims[:2]] == [generator, prompt]
    assert {claim.points_to for claim in claims} == {"generated"}
    assert {claim.trust for claim in claims} == {"unsigned"}


NOVELAI_COMMENT = json.dumps(
    {"steps": 28, "sampler": "k_euler_ancestral", "seed": 1234, "strength": 0.7, "scale": 5.0, "uc": "lowres"}
)


def test_novelai() -> None:
    fields = {
        "Title": "AI generated image",
        "Description": "1girl, tea house",
        "Software": "NovelAI",
        "Source": "NovelAI Diffusion V4 37442FCA",
        "Comment": NOVELAI_COMMENT,
    }
    check(
        text_claims(png_text(fields)),
        "PNG text holds NovelAI parameters: model NovelAI Diffusion V4 37442FCA, sampler k_euler_ancestral, "
        "28 steps, seed 1234, CFG scale 5.0.",
        'PNG text holds the prompt "1girl, tea house".',
    )
    assert only(fields).negative == "lowres"
    assert only({"Title": "AI generated image", "Comment": NOVELAI_COMMENT}).what == "NovelAI parameters"
    assert read_fields({"Title": "AI generated image"}) == []
    as_one = read_text(json.dumps(fields))
    assert as_one is not None
    assert as_one.settings == only(fields).settings


INVOKEAI_5 = {
    "generation_mode": "sdxl_txt2img",
    "positive_prompt": "a castle on a hill",
    "negative_prompt": "blurry",
    "width": 512,
    "height": 768,
    "seed": 42,
    "cfg_scale": 7.5,
    "steps": 30,
    "scheduler": "euler",
    "model": {"key": "1", "hash": "blake3:1f", "name": "Juggernaut XL", "base": "sdxl", "type": "main"},
    "app_version": "5.0.2",
}
INVOKEAI_2 = {
    "model": "stable diffusion",
    "model_weights": "stable-diffusion-1.5",
    "app_id": "invoke-ai/InvokeAI",
    "app_version": "2.3.4",
    "image": {
        "prompt": [{"prompt": "a castle", "weight": 1.0}],
        "steps": 50,
        "cfg_scale": 7.5,
        "sampler": "k_lms",
        "seed": 9,
        "width": 512,
        "height": 512,
    },
}


def test_invokeai() -> None:
    found = only({"invokeai_metadata": json.dumps(INVOKEAI_5), "invokeai_graph": "{}"})
    assert (found.what, found.prompt, found.negative) == (
        "InvokeAI parameters",
        "a castle on a hill",
        "blurry",
    )
    assert found.summary() == (
        "model Juggernaut XL, sampler euler, 30 steps, seed 42, CFG scale 7.5, size 512x768, version 5.0.2"
    )


def test_early_invokeai() -> None:
    dream = '"a castle" -s 50 -S 9 -W 512 -H 512 -C 7.5 -A k_lms'
    assert only({"Dream": dream}).summary() == (
        "sampler k_lms, 50 steps, seed 9, CFG scale 7.5, size 512x512"
    )
    found = only({"sd-metadata": json.dumps(INVOKEAI_2)})
    assert found.prompt == "a castle"
    assert found.settings["model"] == "stable-diffusion-1.5"
    both = only({"Dream": dream, "sd-metadata": json.dumps(INVOKEAI_2)})
    assert both.prompt == "a castle"


FOOOCUS = {
    "adm_guidance": "(1.5, 0.8, 0.3)",
    "base_model": "juggernautXL_v8Rundiffusion",
    "full_prompt": ["cinematic still a robot", "a robot, sharp focus"],
    "full_negative_prompt": ["anime, cartoon"],
    "guidance_scale": 4,
    "metadata_scheme": "fooocus",
    "negative_prompt": "",
    "performance": "Speed",
    "prompt": "a robot",
    "sampler": "dpmpp_2m_sde_gpu",
    "scheduler": "karras",
    "seed": "8834915829939807712",
    "steps": 30,
    "version": "Fooocus v2.5.0",
}


def test_fooocus() -> None:
    found = only({"fooocus_scheme": "fooocus", "parameters": json.dumps(FOOOCUS)})
    assert (found.what, found.prompt, found.negative) == ("Fooocus parameters", "a robot", "anime, cartoon")
    assert found.summary() == (
        "model juggernautXL_v8Rundiffusion, sampler dpmpp_2m_sde_gpu, 30 steps, seed 8834915829939807712, "
        "CFG scale 4, version Fooocus v2.5.0"
    )


def test_swarmui() -> None:
    record = {
        "sui_image_params": {
            "prompt": "a photograph",
            "negativeprompt": "",
            "model": "Flux/flux1-dev-fp8",
            "seed": 305223794,
            "steps": 25,
            "cfgscale": 1.0,
            "width": 1024,
            "height": 768,
            "sampler": "euler",
            "swarm_version": "0.9.1.1",
        }
    }
    found = only({"parameters": json.dumps(record)})
    assert f"{found.what}: {found.summary()}" == (
        "SwarmUI parameters: model Flux/flux1-dev-fp8, sampler euler, 25 steps, seed 305223794, "
        "CFG scale 1.0, size 1024x768"
    )


@pytest.mark.parametrize(
    "fields",
    [
        {
            "prompt": "a fox",
            "negative_prompt": "blur",
            "seed": "7",
            "use_stable_diffusion_model": "sd-v1-5",
            "sampler_name": "euler_a",
            "num_inference_steps": "25",
            "guidance_scale": "7.5",
            "width": "512",
            "height": "512",
        },
        {
            "Prompt": "a fox",
            "Negative Prompt": "blur",
            "Seed": "7",
            "Stable Diffusion model": "sd-v1-5",
            "Sampler": "euler_a",
            "Steps": "25",
            "Guidance Scale": "7.5",
            "Width": "512",
            "Height": "512",
        },
    ],
)
def test_easy_diffusion(fields: dict[str, str]) -> None:
    for found in (only(fields), read_text(json.dumps(fields))):
        assert found is not None
        assert (found.what, found.prompt, found.negative) == ("Easy Diffusion parameters", "a fox", "blur")
        assert found.summary() == (
            "model sd-v1-5, sampler euler_a, 25 steps, seed 7, CFG scale 7.5, size 512x512"
        )


@pytest.mark.parametrize(
    ("text", "prompt", "summary"),
    [
        (
            "example --ar 2:1 --stylize 80 --v 6 Job ID: a7421d2f-b262-44f9-977c-ac23e9c7d3e3",
            "example",
            "version 6",
        ),
        ("a pier, fog Job ID: a7421d2f-b262-44f9-977c-ac23e9c7d3e3", "a pier, fog", ""),
        ("fairy --niji 6 --seed 12 --ar 3:4", "fairy", "seed 12, version niji 6"),
    ],
)
def test_midjourney(text: str, prompt: str, summary: str) -> None:
    found = only({"Description": text, "Author": "ada"})
    assert (found.what, found.prompt, found.summary()) == ("a Midjourney prompt", prompt, summary)


@pytest.mark.parametrize(
    "text",
    [
        "Print job. Job ID: 4711",
        "convert --v 6 --quality 90",
        "A lecture on --ar and other flags",
        "Photo of the Midjourney office",
        "{}",
        '{"prompt": "Your name?", "seed": 1}',
        '{"c": 1, "uc": 2}',
        "{" * 100_000,
        "[" * 100_000,
    ],
)
def test_other_texts_hold_no_record(text: str) -> None:
    assert read_text(text) is None


def test_plain_settings() -> None:
    record = {"prompt": "a fox", "model": "some-service/xl", "seed": 5, "steps": 30}
    found = only({"parameters": json.dumps(record)})
    assert f"{found.what}: {found.summary()}" == (
        "image generation parameters: model some-service/xl, 30 steps, seed 5"
    )


def test_numbers_of_a_million_digits_are_cheap() -> None:
    started = time.perf_counter()
    assert read_object('{"seed": ' + "9" * 1_000_000 + "}") is not None
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    ("key", "comment", "statement", "points_to"),
    [
        ("Comment", "Created with GIMP", "PNG text names the software GIMP, an image editor.", "edited"),
        ("comment", "Created with GIMP", "comment names the software GIMP, an image editor.", "edited"),
        (
            "comment",
            "CREATOR: gd-jpeg v1.0 (using IJG JPEG v62), quality = 90\n",
            "comment names the software gd-jpeg v1.0 (using IJG JPEG v62).",
            None,
        ),
    ],
)
def test_programs_that_sign_in_comments(
    key: str, comment: str, statement: str, points_to: str | None
) -> None:
    (claim,) = text_claims({key: comment})
    assert (claim.statement, claim.points_to) == (statement, points_to)


def test_png_standard_keys() -> None:
    fields = {
        "Software": "Adobe ImageReady",
        "Author": "Ada",
        "Copyright": "Ada",
        "Creation Time": "Sun, 14 Jul 2019 12:01:02 GMT",
        "Comment": "my cat",
    }
    assert [claim.statement for claim in text_claims(png_text(fields))] == [
        "PNG text names the software Adobe ImageReady.",
        "PNG text names the author Ada.",
        "PNG text names the copyright holder Ada.",
        "PNG text says that the picture was created on Sun, 14 Jul 2019 12:01:02 GMT.",
    ]
