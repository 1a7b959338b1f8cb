"""The HTTP API, of the application's own OpenAPI document."""

import json
from typing import Any

from docs_site.made import MadePage, table

PATH = "reference/http-api.md"
DOCUMENT = "reference/openapi.json"
SECTION = "Reference"
_APP = "src/vestige/apps/server/app.py"
_ABSENT = """\
# HTTP API

This page is made of the server's own OpenAPI document, and the server could not be loaded where the site was
built (it needs the extra `serve`). A running server gives the document at `/openapi.json`.
[Serving](../serving.md) says how to use it.
"""


def http_page() -> MadePage:
    """The page with the document beside it; a note in its place where the server cannot be loaded."""
    try:
        document = openapi()
    except ImportError as error:
        left_out = f"the server cannot be loaded ({error})"
        return MadePage(PATH, "HTTP API", _ABSENT, SECTION, stands_for=(_APP,), left_out=left_out)
    text = json.dumps(document, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    return MadePage(
        PATH, "HTTP API", page(document), SECTION, stands_for=(_APP,), attachments={DOCUMENT: text}
    )


def openapi() -> dict[str, Any]:
    """The document of a server with the default settings and a token, so that the token is in it.

    Raises:
        ImportError: the extra `serve` is not installed.
    """
    from vestige.apps.server.app import create_app
    from vestige.apps.server.settings import ServerSettings

    document: dict[str, Any] = create_app(ServerSettings(token="not-a-token")).openapi()
    return document


def page(document: dict[str, Any]) -> str:
    """The document for people, in Markdown."""
    parts = [
        "# HTTP API",
        document["info"].get("description", ""),
        "Made of the server's own [OpenAPI document](openapi.json), with the default limits; a running "
        "server gives its own at `/openapi.json`. How to run and ask one: [serving](../serving.md).",
    ]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            parts += _operation(method, path, operation)
    parts += ["## Objects of the answers", "Optional keys may be null or absent."]
    for name, schema in sorted(document.get("components", {}).get("schemas", {}).items()):
        parts += _schema(name, schema)
    return "\n\n".join(part for part in parts if part) + "\n"


def _operation(method: str, path: str, operation: dict[str, Any]) -> list[str]:
    parts = [
        f"## {method.upper()} {path}",
        f"**{operation['summary'].rstrip('?')}.** {operation.get('description', '')}",
    ]
    if operation.get("security"):
        parts.append("Asks for the token where the server has one.")
    rows = [
        [f"`{item['name']}`", _type(item["schema"]), _value(item["schema"].get("default")), _words(item)]
        for item in operation.get("parameters", [])
    ]
    if rows:
        parts.append(table(["Parameter", "Type", "Default", "Meaning"], rows))
    body = operation.get("requestBody")
    if body:
        kinds = ", ".join(f"`{kind}`" for kind in body["content"])
        parts.append(f"Body{'' if body.get('required') else ' (may be missing)'}: {kinds}.")
    parts.append(
        table(
            ["Status", "Meaning", "Body", "Codes"],
            [[status, *_answer(answer)] for status, answer in operation["responses"].items()],
        )
    )
    return [*parts, *_examples(operation["responses"])]


def _words(item: dict[str, Any]) -> str:
    return str(item.get("description") or item["schema"].get("description") or "")


def _answer(answer: dict[str, Any]) -> list[str]:
    bodies, codes = [], []
    for kind, content in answer.get("content", {}).items():
        shape = _type(content.get("schema", {}))
        bodies.append(f"`{kind}`" if shape in ("", "binary", "string") else f"`{kind}`: {shape}")
        for example in content.get("examples", {}).values():
            code = (
                example["value"].get("error", {}).get("code") if isinstance(example["value"], dict) else None
            )
            codes += [f"`{code}`"] if code else []
    return [answer.get("description", ""), "; ".join(bodies), ", ".join(codes)]


def _examples(responses: dict[str, Any]) -> list[str]:
    """The example of a good answer."""
    for content in responses.get("200", {}).get("content", {}).values():
        if "example" in content:
            return [f"```json\n{json.dumps(content['example'], indent=2, ensure_ascii=False)}\n```"]
    return []


def _schema(name: str, schema: dict[str, Any]) -> list[str]:
    parts = [f"### {name}"]
    if "enum" in schema:
        return [*parts, "One of " + ", ".join(f"`{value}`" for value in schema["enum"]) + "."]
    required = set(schema.get("required", []))
    rows = [
        [f"`{key}`", _type(value), "yes" if key in required else ""]
        for key, value in schema.get("properties", {}).items()
    ]
    return [*parts, table(["Key", "Type", "Always there"], rows)] if rows else [*parts, _type(schema)]


def _type(schema: dict[str, Any]) -> str:
    """A schema in a few words, with links to the objects it names."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    for several in ("anyOf", "oneOf"):
        if several in schema:
            return " or ".join(dict.fromkeys(_type(item) for item in schema[several]))
    kind = schema.get("type", "")
    if kind == "array":
        inside = schema.get("items") or {"anyOf": schema.get("prefixItems", [])}
        return f"list of {_type(inside) or 'anything'}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    return "binary" if schema.get("format") == "binary" else str(kind)


def _value(default: object) -> str:
    return "" if default in (None, "") else f"`{json.dumps(default)}`"
