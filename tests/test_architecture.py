"""Who may import whom (upper may import lower), and what the field kit must not load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "vestige"

# Rows of the architecture from the top; a module imports from its own folder and from rows below.
LAYERS = [
    {"apps"},
    {"bulk", "evaluation", "training"},
    {"detector", "methods"},
    {"reports", "inference", "provenance", "data", "nn"},
    {"images"},
    {"lock"},
    {"results", "errors", "progress"},
]
# Rooms that must not meet even where the rows would allow it: a method reaches a detector as a package only.
KEPT_APART = {("detector", "nn"), ("detector", "data"), ("methods", "inference"), ("methods", "reports")}
FIELD_KIT = {"bulk", "detector", "inference", "images", "provenance", "reports", "results", "errors"}
WORKSHOP_LIBRARIES = {"torch", "lightning", "transformers", "kornia", "sklearn"}
# The card's schema is what passes through the door between the wings: the workshop writes it.
FILES = sorted(SOURCE.rglob("*.py"))


def room(path: Path) -> str:
    first = path.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def rooms_imported(path: Path) -> set[str]:
    parts = [name.split(".") for name in imports(path)]
    return {part[1] for part in parts if part[0] == "vestige" and len(part) > 1}


def level(name: str) -> int | None:
    return next((number for number, row in enumerate(LAYERS) if name in row), None)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_downwards(path: Path) -> None:
    own = room(path)
    if own == "__init__":
        return
    assert level(own) is not None, f"{own} has no place in the architecture"
    for other in rooms_imported(path) - {own}:
        if level(other) is None:  # vestige.__version__ and the like
            continue
        assert level(own) < level(other), f"{own} imports {other}"
        assert (own, other) not in KEPT_APART, f"{own} imports {other}"


@pytest.mark.parametrize(
    "path", [p for p in FILES if room(p) in FIELD_KIT | {"apps"}], ids=lambda p: str(p.name)
)
def test_field_kit_never_imports_the_workshops_libraries(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports(path)}
    assert not roots & WORKSHOP_LIBRARIES


def loaded_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(' '.join(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in done.stdout.split()}


def test_importing_vestige_loads_no_library() -> None:
    heavy = {"torch", "numpy", "PIL", "onnxruntime", "pydantic"}
    assert not loaded_after("import vestige") & heavy


def test_the_detector_loads_no_torch() -> None:
    loaded = loaded_after("from vestige import Detector; Detector")
    assert "onnxruntime" in loaded
    assert not loaded & WORKSHOP_LIBRARIES


def test_the_command_line_is_light() -> None:
    # What `vestige --help` loads decides how long it takes.
    loaded = loaded_after("import vestige.apps.cli")
    assert not loaded & {"torch", "numpy", "PIL", "onnxruntime", "pydantic", "pyarrow"}
