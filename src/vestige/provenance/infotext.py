"""The text that AUTOMATIC1111's web UI began to write, and that many generators write since ("infotext").

Prompt lines, then lines that begin with "Negative prompt:", then one line of settings that begins with
"Steps:", such as `Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, Model: X`.
"""

import re

from vestige.provenance.generation import Generation

_NEGATIVE = "Negative prompt:"
_START = re.compile(r"(?:^|[\s.,])(Steps: ?\d{1,6}\b)")
# A quoted value may hold commas; keys are words that begin with a capital letter.
_PAIR = re.compile(r'([A-Z][\w .+/()-]{0,60}): ?("(?:[^"\\]|\\.)*"|[^,\n]*)')
_MAX_SETTINGS = 20_000
_MAX_TEXT = 1_000_000

_NAMES = {
    "Steps": "steps",
    "Sampler": "sampler",
    "CFG scale": "cfg",
    "Seed": "seed",
    "Size": "size",
    "Model": "model",
    "Model hash": "model_hash",
    "Version": "version",
}


def read_infotext(text: str) -> Generation | None:
    """Reads infotext; None if the text is anything else.

    "Steps" alone occurs in ordinary captions, so two further known settings are asked for.
    """
    text = text[:_MAX_TEXT].strip("\0 \r\n")
    starts = [match.start(1) for match in _START.finditer(text)]
    if not starts:
        return None
    start = starts[-1]  # the settings come last; a prompt may mention steps, too
    line = text[start : start + _MAX_SETTINGS]
    settings: dict[str, str] = {}
    for key, value in _PAIR.findall(line):
        name = _NAMES.get(key.strip())
        if name and value.strip():
            settings.setdefault(name, value.strip().strip('"'))
    if len(settings) < 3:
        return None
    prompt, _, negative = text[:start].partition(_NEGATIVE)
    return Generation(
        what=_what(settings.get("version", ""), line),
        raw=text,
        prompt=prompt.strip(),
        negative=negative.strip(),
        settings=settings,
    )


def _what(version: str, line: str) -> str:
    """Which program wrote it, where its version tells."""
    for mark, name in (("comfyui", "ComfyUI"), ("fooocus", "Fooocus"), ("neo", "Forge"), ("f", "Forge")):
        if version.lower().startswith(mark):
            return f"Stable Diffusion parameters ({name})"
    if "Civitai resources:" in line:
        return "Stable Diffusion parameters (Civitai)"
    return "Stable Diffusion parameters"
