"""A small specification of an ablation for tests."""

from pathlib import Path
from typing import Any

import yaml
from tiny_workshop import write_recipe

AS_FOUND = {"resize": 0, "blur": 0, "noise": 0, "jpeg": 0, "webp": 0}
DATA = {"patch": 64, "views": 2, "chain": AS_FOUND}
SPEC: dict[str, Any] = {
    "recipe": "npr.yaml",
    "seeds": [0, 1],
    "baseline": "whole",
    "views": 2,
    "rows": {
        "whole": {},
        "wider": {"set": {"model": {"widths": [12, 16]}}},
        "one-seed": {"seeds": [1], "set": {"data": {"views": 1}}},
    },
    "questions": {"How wide?": ["wider"]},
}


def write_spec(folder: Path, **changes: Any) -> Path:
    """The recipe npr.yaml and the specification spec.yaml in a folder; `changes` replace keys of `SPEC`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_recipe(folder / "npr.yaml", "npr", data=DATA)
    (folder / "spec.yaml").write_text(yaml.safe_dump(SPEC | changes, sort_keys=False))
    return folder / "spec.yaml"
