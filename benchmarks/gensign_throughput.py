"""Images per second of GenSign's stages on this computer, and the share of the time spent waiting for data.

    python benchmarks/gensign_throughput.py configs/gensign/small.yaml --data MANIFEST.csv --weights WEIGHTS \
        --out docs/results/gensign-stages/throughput.json

Trains DAIR and the extractor for two short epochs each (the second one is reported), computes frozen features
of some views, and fits the detector's head for two short epochs on them.
"""

import argparse
import json
import platform
import re
import tempfile
import time
from pathlib import Path

import torch
import yaml
from rich.console import Console

from vestige.progress import Progress
from vestige.training.recipe import read_recipe
from vestige.training.run import make_examples, new_network, solve, used_rows, with_own_stages
from vestige.training.stages import METRICS, train_stage

STEPS = 20  # of an epoch
PICTURES = 2  # of each group, for the detector


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    values = yaml.safe_load(given.recipe.read_text())
    for section in values["stages"].values():
        section |= {"steps": 2 * STEPS, "steps_per_epoch": STEPS}
    values["data"] |= {"per_group": PICTURES, "views": 1}
    if values["data"].get("self_augmentation"):
        values["data"]["self_augmentation"]["per_group"] = 1
    values["fit"] |= {"steps": 2 * STEPS, "steps_per_epoch": STEPS}
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or "CPU"
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        run, recipe_path = Path(folder) / "run", Path(folder) / "recipe.yaml"
        recipe_path.write_text(yaml.safe_dump(values))
        for name in ("dair", "extractor"):
            train_stage(recipe_path, name, given.data, given.weights, run)
            rows = (run / name / METRICS).read_text().splitlines()
            last = dict(zip(rows[0].split(","), rows[-1].split(","), strict=True))
            section = values["stages"][name]
            what = f"training, {section['crop']} px crops, batches of {section['batch']}"
            lines.append((name, what, float(last["images_per_second"]), float(last["waiting"])))
        lines += detector(recipe_path, given.data, given.weights, run)
    record = {
        "recipe": given.recipe.name,
        "device": device,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "lines": [
            {"stage": stage, "what": what, "images_per_second": round(rate, 1), "waiting": waiting}
            for stage, what, rate, waiting in lines
        ],
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(given.out.read_text()) if given.out.exists() else []
    kept = [one for one in known if (one["recipe"], one["device"]) != (record["recipe"], device)]
    given.out.write_text(json.dumps([*kept, record], indent=2) + "\n")
    print(json.dumps(record, indent=2))


def detector(
    recipe_path: Path, data: Path, weights: Path, run: Path
) -> list[tuple[str, str, float, float | None]]:
    recipe = read_recipe(recipe_path)
    rows = used_rows(recipe, data)
    own = with_own_stages(recipe, weights, run)
    network = new_network(recipe, own)
    begun = time.perf_counter()
    examples = make_examples(recipe, rows, own, network, run, Progress())
    seconds = time.perf_counter() - begun
    found: list[tuple[str, str, float, float | None]] = [
        ("detector", "frozen features of both streams, once per view", len(examples.labels) / seconds, None)
    ]
    console = Console(record=True, width=200)
    solve(network, examples, examples.labels >= 0, recipe, run / "all", Progress(console))
    said = re.findall(r"([\d.]+) images per second, (\d+)% of the time", console.export_text())
    rate, waiting = said[-1]
    found.append(
        ("detector", f"fitting on features, batches of {recipe.fit.batch}", float(rate), int(waiting) / 100)
    )
    return found


if __name__ == "__main__":
    main()
