"""Records that image generators leave in a file, recognised by their own keys and shapes."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from vestige.provenance import comfyui
from vestige.provenance.generation import Generation, first, long_text, read_object, size
from vestige.provenance.infotext import read_infotext

MAX_FIELDS = 500
MAX_CHARACTERS = 3_000_000
"""Characters of all fields together that are looked at; JSON made for it takes half a second per million."""

GROK = "the signature that xAI's Grok leaves"
"""`Generation.what` of Grok's pictures: there, the EXIF artist is a number and names nobody."""

# Keys under which generators write, lower case, the more telling first.
_CARRIERS = (
    "parameters",
    "usercomment",
    "exif:usercomment",
    "invokeai_metadata",
    "sd-metadata",
    "generation_data",
    "comment",
    "description",
    "imagedescription",
    "documentname",
    "make",
    "model",
    "xpcomment",
)
_NAMES = {
    "sampler": ("sampler", "sampler_name", "Sampler", "scheduler"),
    "steps": ("steps", "num_inference_steps", "Steps"),
    "seed": ("seed", "Seed"),
    "cfg": ("cfgscale", "cfg_scale", "guidance_scale", "Guidance Scale", "cfg", "scale"),
}
_JOB = re.compile(r"\bJob ID: ?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?![0-9a-f])", re.IGNORECASE)
_FLAG = re.compile(
    r"\s--(v|version|niji|ar|aspect|stylize|s|style|chaos|c|q|seed|raw|profile|p)\b ?([\w.:]{0,20})"
)
_OWN_FLAGS = {"niji", "ar", "aspect", "stylize", "s", "style", "chaos", "c", "raw", "profile", "p"}
_SIGNATURE = re.compile(r"Signature: ?[A-Za-z0-9+/=]{64}")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DREAM = re.compile(r"\s-([sSWHCA]) ?([\w.]{1,40})")


def read_fields(fields: Mapping[str, str]) -> list[Generation]:
    """All records in the fields of one block.

    Args:
        fields: key (in any case) to text: PNG text chunks, or EXIF tags by name.
    """
    lower: dict[str, str] = {}
    room = MAX_CHARACTERS
    for key, text in list(fields.items())[:MAX_FIELDS]:
        if len(text) <= room and key.lower() not in lower:
            lower[key.lower()] = text
            room -= len(text)
    found: list[Generation | None] = [
        _novelai_fields(lower),
        _easy_diffusion_fields(lower),
        comfyui.read_comfyui(lower.get("prompt", ""), lower.get("workflow", "")),
        _comfyui_tags(lower),
        _dream(lower.get("dream", "")),
        _grok(lower.get("imagedescription", ""), lower.get("artist", "")),
    ]
    found.extend(read_text(lower[key]) for key in _CARRIERS if key in lower)
    # The keyed readers know more than the free ones, and come first: a record is not told twice.
    kept: dict[str, Generation] = {}
    for generation in found:
        if generation is not None:
            kept.setdefault(generation.what.split(" (")[0], generation)
    return list(kept.values())


def read_text(text: str) -> Generation | None:
    """The record in a single text of unknown origin, or None."""
    marked = comfyui.labelled(text)
    if marked is not None:
        return comfyui.read_comfyui(marked[1], marked[1])
    record = read_object(text)
    if record is None:
        return read_infotext(text) or _midjourney(text)
    return next((found for reader in _READERS if (found := reader(record, text))), None)


def _settings(record: Mapping[str, Any], model: str) -> dict[str, str]:
    settings = {name: first(record, names) for name, names in _NAMES.items()}
    return {**settings, "model": model, "size": size(record)}


def _swarmui(record: Mapping[str, Any], raw: str) -> Generation | None:
    inner = record.get("sui_image_params")
    if not isinstance(inner, dict):
        return None
    return Generation(
        "SwarmUI parameters",
        raw,
        long_text(inner.get("prompt")),
        long_text(inner.get("negativeprompt")),
        _settings(inner, first(inner, ("model",))),
    )


def _novelai_fields(lower: Mapping[str, str]) -> Generation | None:
    named = lower.get("software") == "NovelAI"
    if not named and lower.get("title") not in ("AI generated image", "NovelAI generated image"):
        return None
    comment = lower.get("comment", "")
    inner = _novelai(read_object(comment) or {}, comment)
    if not named and inner is None:
        return None
    return Generation(
        "NovelAI parameters",
        comment or lower.get("description", ""),
        lower.get("description", "") or (inner.prompt if inner else ""),
        inner.negative if inner else "",
        {**(inner.settings if inner else {}), "model": lower.get("source", "")},
    )


def _novelai(record: Mapping[str, Any], raw: str) -> Generation | None:
    if record.get("Software") == "NovelAI":  # the PNG keys as one object, as in its WebP files
        return _novelai_fields({key.lower(): long_text(value) for key, value in list(record.items())[:50]})
    if "uc" not in record or "c" in record or not {"steps", "sampler"} & set(record):
        return None
    return Generation(
        "NovelAI parameters",
        raw,
        long_text(record.get("prompt")),
        long_text(record.get("uc")),
        _settings(record, ""),
    )


def _draw_things(record: Mapping[str, Any], raw: str) -> Generation | None:
    if not isinstance(record.get("c"), str) or not {"uc", "sampler"} <= set(record):
        return None
    settings = _settings(record, first(record, ("model",)))
    settings["size"] = settings["size"] or first(record, ("size",))
    return Generation("Draw Things parameters", raw, record["c"], long_text(record.get("uc")), settings)


def _fooocus(record: Mapping[str, Any], raw: str) -> Generation | None:
    version = first(record, ("version", "Version", "software"))
    model = first(record, ("base_model", "Base Model"))
    if not version.startswith("Fooocus") and not (model and {"performance", "Performance"} & set(record)):
        return None
    prompt = long_text(record.get("prompt", record.get("Prompt"))) or long_text(record.get("full_prompt"))
    negative = long_text(record.get("negative_prompt", record.get("Negative Prompt")))
    return Generation(
        "Fooocus parameters",
        raw,
        prompt,
        negative or long_text(record.get("full_negative_prompt")),
        {**_settings(record, model), "version": version},
    )


def _easy_diffusion(record: Mapping[str, Any], raw: str) -> Generation | None:
    model = first(record, ("use_stable_diffusion_model", "Stable Diffusion model"))
    prompt = long_text(record.get("prompt", record.get("Prompt")))
    if not model or not prompt:
        return None
    negative = long_text(record.get("negative_prompt", record.get("Negative Prompt")))
    return Generation("Easy Diffusion parameters", raw, prompt, negative, _settings(record, model))


def _easy_diffusion_fields(lower: Mapping[str, str]) -> Generation | None:
    """Easy Diffusion writes one PNG text chunk for each setting."""
    record = {key: value for key, value in lower.items() if len(value) < 20_000}
    record.setdefault("use_stable_diffusion_model", record.get("stable diffusion model", ""))
    record.setdefault("negative_prompt", record.get("negative prompt", ""))
    record.setdefault("guidance_scale", record.get("guidance scale", ""))
    return _easy_diffusion(record, "\n".join(f"{key}: {value}" for key, value in record.items() if value))


def _invokeai(record: Mapping[str, Any], raw: str) -> Generation | None:
    image = record.get("image")
    if isinstance(image, dict) and str(record.get("app_id", "")).startswith("invoke-ai"):  # version 2
        prompt = image.get("prompt")
        if isinstance(prompt, list) and prompt and isinstance(prompt[0], dict):
            prompt = prompt[0].get("prompt")
        settings = _settings(image, first(record, ("model_weights", "model")))
        return Generation("InvokeAI parameters", raw, long_text(prompt), "", settings)
    if not isinstance(record.get("positive_prompt"), str):
        return None
    model = record.get("model")
    name = first(model, ("name", "model_name")) if isinstance(model, dict) else first(record, ("model",))
    return Generation(
        "InvokeAI parameters",
        raw,
        record["positive_prompt"],
        long_text(record.get("negative_prompt")),
        {**_settings(record, name), "version": first(record, ("app_version",))},
    )


def _dream(text: str) -> Generation | None:
    """The command line of InvokeAI's first versions: "a cat" -s 50 -S 1 -W 512 -H 512 -C 7.5 -A ddim."""
    flags = dict(_DREAM.findall(text[-2_000:]))
    if not {"s", "S"} <= set(flags):
        return None
    start, end = text.find('"'), text.rfind('"')
    settings = {name: flags.get(flag, "") for name, flag in (("steps", "s"), ("seed", "S"), ("cfg", "C"))}
    settings.update(sampler=flags.get("A", ""), size=size(flags))
    return Generation("InvokeAI parameters", text, text[start + 1 : end] if start < end else "", "", settings)


def _plain(record: Mapping[str, Any], raw: str) -> Generation | None:
    """Settings of a diffusion model in a shape that is nobody's in particular (services, scripts)."""
    prompt = long_text(record.get("prompt"))
    settings = _settings(record, first(record, ("model", "Model", "model_name")))
    if not prompt or not settings["seed"] or not (settings["steps"] or settings["cfg"]):
        return None
    negative = long_text(record.get("negative_prompt", record.get("negativePrompt")))
    return Generation("image generation parameters", raw, prompt, negative, settings)


def _comfyui_tags(lower: Mapping[str, str]) -> Generation | None:
    """ComfyUI's WebP files: one graph in each of several EXIF tags, "prompt:{...}" and "workflow:{...}"."""
    marked = [comfyui.labelled(lower[key]) for key in _CARRIERS if key in lower]
    graphs = dict(pair for pair in reversed(marked) if pair)
    return comfyui.read_comfyui(graphs.get("prompt", ""), graphs.get("workflow", "")) if graphs else None


def _midjourney(text: str) -> Generation | None:
    """Midjourney describes its pictures as: the prompt, its flags, "Job ID: " and a UUID."""
    text = text[:50_000]
    flags = dict(reversed(_FLAG.findall(text)))
    version = flags.get("v") or flags.get("version") or ""
    if "niji" in flags:
        version = f"niji {flags['niji']}".strip()
    if not _JOB.search(text) and not (version and _OWN_FLAGS & set(flags)):
        return None
    cuts = [match.start() for pattern in (_FLAG, _JOB) if (match := pattern.search(text))]
    settings = {"version": version, "seed": flags.get("seed", "")}
    return Generation("a Midjourney prompt", text, text[: min(cuts)].strip(), "", settings)


def _grok(description: str, artist: str) -> Generation | None:
    """xAI's Grok signs its pictures with a long signature as the description and a UUID as the artist."""
    if not _SIGNATURE.match(description.strip()) or not _UUID.fullmatch(artist.strip()):
        return None
    return Generation(GROK, description)


_READERS: tuple[Callable[[Mapping[str, Any], str], Generation | None], ...] = (
    _swarmui,
    comfyui.from_object,
    _novelai,
    _draw_things,
    _fooocus,
    _easy_diffusion,
    _invokeai,
    _plain,
)
