import pytest

from vestige.provenance.tools import tool_named_by

GENERATORS = """Adobe Firefly|Midjourney v6|DALL-E 3|DALL·E|OpenAI-API|ChatGPT|gpt-image-1|Stable Diffusion XL
stable-diffusion-webui|ComfyUI|InvokeAI 4.2|Invoke AI|Fooocus v2.5|Draw Things|NovelAI|Leonardo.Ai|Ideogram
Made with Google AI|Google Imagen 3|Imagen-4|Gemini 2.5 Flash Image|Bing Image Creator|Grok|xAI|FLUX.1 [dev]
Image Creator from Microsoft Designer|Imagined with AI|Meta AI|Image Playground|AI-generated|Recraft V3"""
EDITORS = """Adobe Photoshop 25.0 (Macintosh)|Adobe Photoshop Lightroom Classic 13.1|GIMP 2.10.36|Snapseed 2.0
Modified with Clean Up|Affinity Photo 2|Capture One 23|darktable 4.6.0|RawTherapee 5.9|Luminar Neo
Pixelmator Pro|Paint.NET 5|Picasa
Photos 9.0|Canva|Topaz Photo AI 2|FaceApp|Edited with Google AI|Edited with Galaxy AI"""
NEITHER = """Ver.1.00|17.5.1|HDR+ 1.0.540104767zd|Canon EOS 5D|Google|Microsoft Windows Photo Viewer|Leonardo
Firefly 8S|f.lux|paint.exe|ImageMagick 7|Epson Scan|Digital Camera FinePix|Ricoh GR|Imagenomic"""


def names(text: str) -> list[str]:
    return [name for line in text.splitlines() for name in line.split("|")]


@pytest.mark.parametrize("name", names(GENERATORS))
def test_generators(name: str) -> None:
    tool = tool_named_by(name)
    assert tool is not None
    assert tool.points_to == "generated"


@pytest.mark.parametrize("name", names(EDITORS))
def test_editors(name: str) -> None:
    tool = tool_named_by(name)
    assert tool is not None
    assert tool.points_to == "edited"


@pytest.mark.parametrize("name", names(NEITHER))
def test_others(name: str) -> None:
    assert tool_named_by(name) is None


@pytest.mark.parametrize(
    "credit",
    [
        "OpenAI",
        "Courtesy of Stability AI",
        "Leonardo Rossi",
        "Gemini Press",
        "Grok",
        "Adobe Photoshop",
        "Not AI-generated",
        "No Midjourney was used",
        "Never made with AI",
    ],
)
def test_credits_to_companies_people_and_denials_accuse_nobody(credit: str) -> None:
    assert tool_named_by(credit, credit=True) is None
