import json

import pytest
from metadata_blocks import COMFY_PROMPT, COMFY_WORKFLOW, exif_block, png_text

from vestige.provenance.exif_claims import exif_claims
from vestige.provenance.generation import Generation
from vestige.provenance.generators import read_fields
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


def test_comfyui_png() -> None:
    check(
        text_claims(png_text({"prompt": COMFY_PROMPT, "workflow": COMFY_WORKFLOW})),
        "PNG text holds a ComfyUI workflow: model dreamshaper_8.safetensors, sampler euler, 20 steps, "
        "seed 8566257, CFG scale 8.",
        'PNG text holds the prompt "glass bottle with a galaxy".',
    )
    assert only({"prompt": COMFY_PROMPT}).negative == "text, watermark"


def test_comfyui_workflow_alone() -> None:
    found = only({"workflow": COMFY_WORKFLOW})
    assert found.prompt == "glass bottle with a galaxy"
    assert found.settings == {
        "model": "dreamshaper_8.safetensors",
        "seed": "8566257",
        "steps": "20",
        "cfg": "8",
        "sampler": "euler",
    }


@pytest.mark.parametrize(
    ("image", "photo"),
    [
        ({0x0110: f"prompt:{COMFY_PROMPT}", 0x010F: f"workflow:{COMFY_WORKFLOW}"}, {}),
        ({0x010F: f"Prompt: {COMFY_PROMPT}", 0x010E: f"Workflow: {COMFY_WORKFLOW}"}, {}),
        ({}, {0x9286: b"ASCII\0\0\0" + f'{{"prompt": {COMFY_PROMPT}, "workflow": {{}}}}'.encode()}),
        ({}, {0x9286: b"ASCII\0\0\0" + json.dumps({"prompt": COMFY_PROMPT}).encode()}),
        ({}, {0x9286: b"UNICODE\0" + COMFY_PROMPT.encode("utf-16-be")}),
    ],
)
def test_comfyui_in_exif(image: dict[int, str], photo: dict[int, bytes]) -> None:
    claims = exif_claims(exif_block(image, photo))
    check(
        claims,
        "EXIF holds a ComfyUI workflow: model dreamshaper_8.safetensors, sampler euler, 20 steps, "
        "seed 8566257, CFG scale 8.",
        'EXIF holds the prompt "glass bottle with a galaxy".',
    )
    assert len(claims) == 2  # a graph in Make is not a camera


def test_comfyui_settings_in_nodes_of_their_own() -> None:
    graph = {
        "13": {
            "class_type": "SamplerCustomAdvanced",
            "inputs": {"noise": ["25", 0], "guider": ["22", 0], "sampler": ["16", 0], "sigmas": ["17", 0]},
        },
        "25": {"class_type": "RandomNoise", "inputs": {"noise_seed": 42}},
        "22": {"class_type": "BasicGuider", "inputs": {"model": ["12", 0], "conditioning": ["26", 0]}},
        "26": {"class_type": "FluxGuidance", "inputs": {"guidance": 3.5, "conditioning": ["6", 0]}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": ["30", 0], "clip": ["11", 0]}},
        "30": {"class_type": "PrimitiveString", "inputs": {"value": "an anime girl"}},
        "16": {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}},
        "17": {"class_type": "BasicScheduler", "inputs": {"scheduler": "simple", "steps": 28}},
        "12": {"class_type": "UNETLoader", "inputs": {"unet_name": "flux1-dev.safetensors"}},
    }
    found = only({"prompt": json.dumps(graph)})
    assert found.prompt == "an anime girl"
    assert found.settings == {
        "model": "flux1-dev.safetensors",
        "sampler": "euler",
        "steps": "28",
        "cfg": "3.5",
        "seed": "42",
    }


def test_comfyui_upscaling_of_a_picture_is_editing() -> None:
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "holiday.jpg"}},
        "2": {"class_type": "ImageUpscaleWithModel", "inputs": {"image": ["1", 0]}},
    }
    assert {claim.points_to for claim in text_claims({"prompt": json.dumps(graph)})} == {"edited"}


def test_comfyui_loops_end() -> None:
    graph = {
        "1": {"class_type": "KSampler", "inputs": {"positive": ["2", 0], "seed": ["2", 0]}},
        "2": {
            "class_type": "X",
            "inputs": {"text": ["2", 0], "conditioning": ["1", 0], "positive": ["2", 1]},
        },
    }
    assert only({"prompt": json.dumps(graph)}).prompt == ""


def test_prompt_key_of_another_program_is_no_graph() -> None:
    assert read_fields({"prompt": "Enter your name", "workflow": "approved"}) == []
