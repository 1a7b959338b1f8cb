"""Pages of the Python API, which mkdocstrings fills from the source without running it."""

from docs_site.made import MadePage
from vestige import results

SECTION = "Python API"
# Module -> what is shown of it; nothing: all that is public.
MODULES: dict[str, tuple[str, tuple[str, ...]]] = {
    "vestige": ("The package", ("Detector", "ImageReport", "Verdict", "VestigeError")),
    "vestige.detector": ("Detector", ("Detector", "Scanned")),
    "vestige.results": ("Results", ()),
    "vestige.errors": ("Errors", ()),
    "vestige.images": ("Images", ()),
    "vestige.provenance": ("Provenance", ()),
    "vestige.inference.card": ("Cards", ()),
}
_ROOT = """\
# The package

```python
from vestige import Detector, ImageReport, Verdict, VestigeError
```

| Name | Where it is described |
|---|---|
| `Detector` | [vestige.detector](vestige.detector.md) |
| `ImageReport`, `Verdict` | [vestige.results](vestige.results.md) |
| `VestigeError` and its kinds | [vestige.errors](vestige.errors.md) |
| `decode`, `Limits`, `Picture` of `vestige.images` | [vestige.images](vestige.images.md) |
| what a file claims | [vestige.provenance](vestige.provenance.md) |
| `card.json` | [vestige.inference.card](vestige.inference.card.md) |

What these pages show is public: names and meaning stay within a `schema_version` and a version of the
package. What they do not show may change at any time.
"""


def api_pages() -> list[MadePage]:
    """One page for each public module."""
    return [
        MadePage(
            f"reference/api/{module}.md",
            title if module == "vestige" else module,
            _ROOT if module == "vestige" else _page(module, title, members),
            SECTION,
            stands_for=(_file(module),),
        )
        for module, (title, members) in MODULES.items()
    ]


def _file(module: str) -> str:
    inner = module.replace(".", "/")
    packages = ("vestige", "vestige.images", "vestige.provenance")
    return f"src/{inner}/__init__.py" if module in packages else f"src/{inner}.py"


def _page(module: str, title: str, members: tuple[str, ...]) -> str:
    lines = [f"# {title}", "", f"`{module}`", ""]
    for name in members:
        lines += [f"::: {module}.{name}", "    options:", "      show_root_heading: true", ""]
    if not members:
        lines.append(f"::: {module}")
        if module == "vestige.errors":  # its codes have no words of their own
            lines += ["    options:", "      show_if_no_docstring: true"]
        lines.append("")
    if module == "vestige.results":
        lines += ["## Values", "", *_values()]
    return "\n".join(lines) + "\n"


def _values() -> list[str]:
    verdicts = ", ".join(f"`{verdict.value}`" for verdict in results.Verdict)
    columns = ", ".join(f"`{name}`" for name in results.ROW_FIELDS)
    return [
        f"`SCHEMA_VERSION` is {results.SCHEMA_VERSION}.",
        "",
        f"`Verdict`: {verdicts}.",
        "",
        f"Columns of CSV and Parquet: {columns}.",
    ]
