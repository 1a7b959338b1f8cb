"""ComfyUI's node graphs: "prompt" (what was run) and "workflow" (what the editor showed), both JSON."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from vestige.provenance.generation import Generation, first, long_text, read_object, scalar

_LABEL = re.compile(r"\s*(prompt|workflow)\s*:\s*(?=\{)", re.IGNORECASE)
_MAX_NODES = 2_000
_MAX_WALKS = 20
_MAX_STEPS = 200

_MODEL = ("ckpt_name", "unet_name")
_SETTINGS = {
    "sampler": ("sampler_name",),
    "steps": ("steps",),
    "cfg": ("cfg", "guidance"),
    "seed": ("seed", "noise_seed"),
}
_TEXT_INPUTS = ("text", "text_g", "text_l", "t5xxl", "clip_l", "prompt", "positive_prompt", "string", "value")
_CONDITIONING = ("conditioning", "conditioning_1", "conditioning_2", "guider")


def read_comfyui(prompt: str, workflow: str = "") -> Generation | None:
    """Reads what ComfyUI saved, from either text or both; None if neither is a graph of its nodes."""
    graph = read_object(prompt)
    nodes = _run_nodes(graph) if graph else {}
    if nodes:
        return _from_run(nodes, prompt)
    editor = read_object(workflow)
    if editor and (shown := _editor_nodes(editor)):
        return _from_editor(shown, workflow)
    return None


def labelled(text: str) -> tuple[str, str] | None:
    """Splits `workflow:{...}` or `prompt:{...}`, as ComfyUI writes into EXIF, into label and JSON."""
    match = _LABEL.match(text[:100])
    return (match.group(1).lower(), text[match.end() :]) if match else None


def from_object(record: Mapping[str, Any], raw: str) -> Generation | None:
    """Reads a JSON object that is a graph, or that holds graphs under "prompt" and "workflow"."""
    for candidate in (record, _inner(record.get("prompt"))):
        if nodes := _run_nodes(candidate):
            return _from_run(nodes, raw)
    for candidate in (record, _inner(record.get("workflow"))):
        if shown := _editor_nodes(candidate):
            return _from_editor(shown, raw)
    return None


def _inner(value: object) -> Mapping[str, Any]:
    if isinstance(value, str):
        value = read_object(value)
    return value if isinstance(value, dict) else {}


def _run_nodes(graph: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Nodes by id, or nothing if this is not what ComfyUI runs."""
    nodes: dict[str, dict[str, Any]] = {}
    for key, node in list(graph.items())[:_MAX_NODES]:
        if isinstance(node, dict) and isinstance(node.get("class_type"), str):
            nodes[key] = node
    return nodes


def _inputs(node: Mapping[str, Any]) -> dict[str, Any]:
    inputs = node.get("inputs")
    return inputs if isinstance(inputs, dict) else {}


def _from_run(nodes: Mapping[str, dict[str, Any]], raw: str) -> Generation:
    kinds = {key: str(node["class_type"]).lower() for key, node in nodes.items()}
    samplers = [nodes[key] for key, kind in kinds.items() if "sampler" in kind]
    loaders = [nodes[key] for key, kind in kinds.items() if "loader" in kind]
    settings = {"model": _setting(nodes, [*loaders, *nodes.values()], _MODEL)}
    # Nodes that call a service name their model themselves.
    settings["model"] = settings["model"] or _setting(nodes, list(nodes.values()), ("model",))
    for name, names in _SETTINGS.items():
        # Newer graphs keep seed and steps in nodes of their own, so all nodes are asked in the end.
        settings[name] = _setting(nodes, [*samplers, *nodes.values()], names)
    prompt = negative = ""
    for sampler in samplers[:_MAX_WALKS]:
        inputs = _inputs(sampler)
        prompt = prompt or _text(nodes, inputs.get("positive", inputs.get("guider")))
        guider = _inputs(_linked(nodes, inputs.get("guider")) or {})
        negative = negative or _text(nodes, inputs.get("negative", guider.get("negative")))
    if not prompt:
        encoders = [key for key, kind in kinds.items() if "textencode" in kind or "prompt" in kind]
        prompt = "\n".join(
            dict.fromkeys(text for key in encoders[:_MAX_WALKS] if (text := _text(nodes, [key, 0])))
        )
    loads_picture = any(kind.startswith("loadimage") for kind in kinds.values())
    return Generation(
        what="a ComfyUI workflow",
        raw=raw,
        prompt=prompt,
        negative=negative,
        settings=settings,
        edited=loads_picture and not samplers,
    )


def _setting(nodes: Mapping[str, dict[str, Any]], among: list[dict[str, Any]], names: tuple[str, ...]) -> str:
    """The first of the named inputs that has a value, or is linked to a node that has one."""
    for node in among:
        inputs = _inputs(node)
        for name in names:
            value = inputs.get(name)
            if text := scalar(value):
                return text
            linked = _linked(nodes, value)
            if linked is not None and (text := first(_inputs(linked), (*names, "value", "int", "float"))):
                return text
    return ""


def _linked(nodes: Mapping[str, dict[str, Any]], value: object) -> dict[str, Any] | None:
    """The node that an input is linked to; a link is [node id, index of the output]."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], (str, int)):
        return nodes.get(str(value[0]))
    return None


def _text(nodes: Mapping[str, dict[str, Any]], link: object) -> str:
    """The texts that reach a link, found by walking the graph backwards."""
    found: dict[str, None] = {}
    seen: set[int] = set()
    waiting = [link]
    for _ in range(_MAX_STEPS):
        if not waiting:
            break
        link = waiting.pop(0)
        node = _linked(nodes, link)
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        inputs = _inputs(node)
        texts = [inputs.get(name) for name in _TEXT_INPUTS]
        found.update({text.strip(): None for text in texts if isinstance(text, str) and text.strip()})
        waiting.extend(inputs[name] for name in (*_TEXT_INPUTS, *_CONDITIONING) if name in inputs)
        # Nodes that take both sides (ControlNet) give the negative one as their second output.
        waiting.append(inputs.get("negative" if isinstance(link, list) and link[1] == 1 else "positive"))
    return "\n".join(found)


def _editor_nodes(workflow: Mapping[str, Any]) -> list[dict[str, Any]]:
    nodes = workflow.get("nodes")
    if not isinstance(nodes, list) or "links" not in workflow:
        return []
    return [
        node for node in nodes[:_MAX_NODES] if isinstance(node, dict) and isinstance(node.get("type"), str)
    ]


def _from_editor(nodes: list[dict[str, Any]], raw: str) -> Generation:
    """The editor keeps bare lists of widget values; only those of ComfyUI's own nodes have a known order."""
    settings: dict[str, str] = {}
    prompts: dict[str, None] = {}
    for node, widgets in _widgets(nodes):
        kind = str(node["type"])
        if kind == "KSampler" and len(widgets) >= 5:
            for name, index in (("seed", 0), ("steps", 2), ("cfg", 3), ("sampler", 4)):
                settings.setdefault(name, scalar(widgets[index]))
        elif kind in ("CheckpointLoaderSimple", "UNETLoader") and widgets:
            settings.setdefault("model", scalar(widgets[0]))
        elif kind == "CLIPTextEncode" and widgets and (text := long_text(widgets[0]).strip()):
            prompts[text] = None
    kinds = [str(node["type"]).lower() for node in nodes]
    samples = any("sampler" in kind for kind in kinds)
    loads_picture = any(kind.startswith("loadimage") for kind in kinds)
    return Generation(
        what="a ComfyUI workflow",
        raw=raw,
        prompt="\n".join(prompts),
        settings=settings,
        edited=loads_picture and not samples,
    )


def _widgets(nodes: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], list[Any]]]:
    for node in nodes:
        widgets = node.get("widgets_values")
        if isinstance(widgets, list):
            yield node, widgets
