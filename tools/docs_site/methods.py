"""A page for each method: its README, or for the small references what their files say."""

import ast
import re
from pathlib import Path

from docs_site.made import MadePage, table
from docs_site.repository import heading

SECTION = "Methods"
REFERENCES = "methods/references.md"
_MARKS = re.compile(r"^<!-- (?:begin|end) \S+ -->\n", re.MULTILINE)


def registered(root: Path) -> dict[str, str]:
    """Name of each method -> module, as `methods/registry.py` has them; torch is not needed to read it.

    Raises:
        ValueError: the registry has no table METHODS.
    """
    source = (root / "src" / "vestige" / "methods" / "registry.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "METHODS":
            found: dict[str, str] = ast.literal_eval(node.value)
            return found
    raise ValueError("methods/registry.py has no METHODS")


def places(root: Path) -> dict[str, str]:
    """Name of each method -> its page, with an anchor for those that share one."""
    return {
        name: f"{REFERENCES}#{name}" if _is_reference(module) else f"methods/{module.split('.')[-1]}.md"
        for name, module in registered(root).items()
    }


def method_pages(root: Path) -> list[MadePage]:
    """The list of methods, their READMEs, and one page for the references.

    Raises:
        FileNotFoundError: a method of its own folder has no README.
    """
    modules = registered(root)
    readmes = [_readme(root, module) for module in modules.values() if not _is_reference(module)]
    references = {name: module for name, module in modules.items() if _is_reference(module)}
    return [_index(root, modules), *readmes, _references(root, references)]


def _is_reference(module: str) -> bool:
    return ".references." in module


def _readme(root: Path, module: str) -> MadePage:
    name = module.split(".")[-1]
    origin = f"src/vestige/methods/{name}/README.md"
    file = root / origin
    text = _MARKS.sub("", file.read_text(encoding="utf-8"))
    return MadePage(f"methods/{name}.md", heading(file), text, SECTION, origin=origin)


def _index(root: Path, modules: dict[str, str]) -> MadePage:
    rows = []
    for name, place in places(root).items():
        module = modules[name]
        if _is_reference(module):
            what = _docstring(root, module).split("\n\n")[0]
        else:
            what = heading(root / "src" / "vestige" / "methods" / module.split(".")[-1] / "README.md")
        rows.append([f"[`{name}`]({place.removeprefix('methods/')})", what])
    text = (
        "# Methods\n\nEvery method is trained by `vestige train`, exported by `vestige export`, measured by "
        "`vestige bench` and used by `vestige scan --model`, through the same door. The name is what a "
        "recipe says after `method:`.\n\n" + table(["Name", "What"], rows) + "\n\n"
        "What they gave in our hands: [results](../results/README.md). To add one: "
        "[ten minutes](../contributing.md#add-a-method-in-ten-minutes).\n"
    )
    return MadePage("methods/index.md", "All methods", text, SECTION)


def _references(root: Path, references: dict[str, str]) -> MadePage:
    parts = [
        "# Reference detectors\n\nSmall versions of published ideas, trained on a few thousand pictures, to "
        "compare with: they say what an idea gives at equal means, not what its authors' weights give. "
        "[How they are measured](../benchmark.md#reference-detectors)."
    ]
    for name, module in references.items():
        file = "src/" + module.replace(".", "/") + ".py"
        parts.append(f"## {name}\n\n{_docstring(root, module)}\n\n`{file}`")
    return MadePage(REFERENCES, "Reference detectors", "\n\n".join(parts) + "\n", SECTION)


def _docstring(root: Path, module: str) -> str:
    source = (root / "src" / Path(*module.split("."))).with_suffix(".py").read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(source)) or ""
