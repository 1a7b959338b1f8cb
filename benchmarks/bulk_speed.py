"""Where the time of bulk scoring goes, and what other ways of scoring the same pictures reach.

    python benchmarks/bulk_speed.py PICTURES --out docs/results/bulk-speed
    python benchmarks/bulk_speed.py --out docs/results/bulk-speed --render     # the page from its figures

Two measurements on every n-th picture of a folder. The profile takes the path of a picture apart in one
process with one thread. For the rates, ways of scoring take turns, each turn in another order, because the
speed of a computer drifts: what counts is the ratio to one process within one turn. Each way runs in
processes of its own, which have loaded the model and wait for each other before the clock starts.
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from bulk_profile import BROKEN, PARTS, PASSES, profile

from vestige import detector as front
from vestige.bulk.chunks import FilePlace, Item
from vestige.bulk.scorer import ScoreOptions, detector_of, score_items
from vestige.detector import Detector

CALLS = 20  # of `vestige scan FILE`
BASE = "one process, one thread"
EDGES = (0.1, 0.25, 0.5, 1.0)  # megapixels


@dataclass(frozen=True)
class Way:
    """One way of scoring the pictures.

    Attributes:
        kind: `score` (what bulk runs), `scan_many`, `network` (bare ONNX Runtime on ready tensors), `files`
            (a process for each picture).
        threads: of the network in each process; 0: whatever the command takes by itself.
        chunk: pictures scored together.
        batch: patches per run of the network; 0: the detector's own number.
    """

    kind: str = "score"
    processes: int = 1
    threads: int = 1
    chunk: int = 32
    batch: int = 0


def ways(cores: int) -> dict[str, Way]:
    """What is compared, by name."""
    return {
        BASE: Way(),
        f"{cores} processes, one thread each": Way(processes=cores),
        f"one process, {cores} threads": Way(threads=cores),
        f"`Detector.scan_many`, {cores} threads": Way("scan_many", threads=cores),
        "`vestige scan FILE`, a process per picture": Way("files", threads=0),
        "network alone, one thread": Way("network"),
        f"network alone, {cores} processes": Way("network", processes=cores),
        f"network alone, {cores} threads": Way("network", threads=cores),
        **{f"chunks of {size}": Way(chunk=size) for size in (8, 16, 64)},
        **{f"batches of {size}": Way(batch=size) for size in (4, 8, 32, 64)},
    }


def work(way: Way, model: str, paths: Sequence[str]) -> Callable[[], None]:
    """What one process does between its start and its end; the model is loaded when this returns."""
    options = ScoreOptions(model=model, threads=way.threads)
    detector = detector_of(options)
    front.BATCH = way.batch or front.BATCH
    items = [Item(path, FilePlace(path)) for path in paths]
    score_items(items[: way.chunk], options)
    if way.kind == "network":
        return bare_network(detector, paths, front.BATCH)

    def scan() -> None:
        for _ in detector.scan_many(paths):
            pass

    def score() -> None:
        for at in range(0, len(items), way.chunk):
            score_items(items[at : at + way.chunk], options)

    return scan if way.kind == "scan_many" else score


def bare_network(detector: Detector, paths: Sequence[str], batch: int) -> Callable[[], None]:
    """ONNX Runtime alone, on the patches of the pictures, which are ready as floats."""
    every = np.concatenate([found.inputs for found in map(detector.prepare, paths) if len(found.inputs)])
    parts = [every[at : at + batch].transpose(0, 3, 1, 2) for at in range(0, len(every), batch)]
    tensors = [np.ascontiguousarray(part, np.float32) / np.float32(255) for part in parts]
    session, name = detector._session._session, detector._session._input

    def run() -> None:
        for tensor in tensors:
            session.run(None, {name: tensor})

    return run


def child() -> None:
    """Life of a measured process: take a task, get ready, say so, wait for a line, work, say so."""
    way, model, paths = json.loads(sys.stdin.readline())
    run = work(Way(**way), model, paths)
    print("ready", flush=True)
    sys.stdin.readline()
    run()
    print("done", flush=True)


def rate(way: Way, model: str, paths: Sequence[str]) -> float:
    """Pictures per second, from the moment when all processes start to when the last one is done."""
    if way.kind == "files":
        return rate_of_files(model, paths)
    processes: list[subprocess.Popen[str]] = []
    try:
        for number in range(way.processes):
            command = [sys.executable, __file__, "--child"]
            processes.append(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            tell(processes[-1:], json.dumps([asdict(way), model, paths[number :: way.processes]]))
        await_word("ready", processes)
        began = time.perf_counter()
        tell(processes, "go")
        await_word("done", processes)
        return len(paths) / (time.perf_counter() - began)
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def tell(processes: Iterable["subprocess.Popen[str]"], line: str) -> None:
    """Send each process a line."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(line + "\n")
        process.stdin.flush()


def await_word(word: str, processes: Iterable["subprocess.Popen[str]"]) -> None:
    """Until each process has said it."""
    for process in processes:
        assert process.stdout is not None
        if process.stdout.readline().strip() != word:
            raise SystemExit("a measured process ended early; its message stands above")


def rate_of_files(model: str, paths: Sequence[str]) -> float:
    """One `vestige scan FILE` after the other."""
    command = [sys.executable, "-c", "from vestige.apps.cli import main; main()", "scan", "--model", model]
    chosen = paths[:: max(1, len(paths) // CALLS)][:CALLS]
    began = time.perf_counter()
    for path in chosen:
        done = subprocess.run([*command, path], capture_output=True, check=False, text=True)
        if done.returncode not in (0, 3):  # 3: nothing could be read; the sample has broken files, too
            raise SystemExit(f"vestige scan {path} ended with {done.returncode}: {done.stderr}")
    return len(chosen) / (time.perf_counter() - began)


def rates(paths: Sequence[str], model: str, turns: int, cores: int) -> Iterator[dict[str, float]]:
    """Pictures per second of each way, turn by turn, each in an order of its own."""
    every = ways(cores)
    for turn in range(turns):
        names = list(every)
        random.Random(turn).shuffle(names)
        found = {}
        for name in names:
            found[name] = round(rate(every[name], model, paths), 2)
            print(f"turn {turn + 1}: {name}: {found[name]:.1f} per second", flush=True)
        yield {name: found[name] for name in every}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All figures, JSON-ready."""
    paths = sorted(str(path) for path in options.pictures.rglob("*") if path.is_file())
    if not paths:
        raise SystemExit(f"{options.pictures}: no files")
    chosen = paths[:: max(1, len(paths) // options.sample)][: options.sample]
    cores = len(os.sched_getaffinity(0))
    figures = {
        "computer": {
            "processors": cores,
            "machine": platform.machine(),
            "python": platform.python_version(),
        },
        "model": options.model,
        "profile": profile(chosen, ScoreOptions(model=options.model)),
        "turns": [],
    }
    for turn in rates(chosen, options.model, options.turns, cores):
        figures["turns"].append(turn)
    return figures


def mean_ms(pictures: Sequence[dict[str, Any]], parts: Sequence[str] = PARTS) -> float:
    """Milliseconds per picture of some parts together."""
    return float(statistics.mean(sum(one["ms"][part] for part in parts) for one in pictures))


def ratios(turns: Sequence[dict[str, float]], name: str, base: str = BASE) -> list[float]:
    """A way's rate over another's, turn by turn."""
    return [turn[name] / turn[base] for turn in turns]


def profile_lines(pictures: Sequence[dict[str, Any]]) -> list[str]:
    """The table of parts."""
    whole = mean_ms(pictures)
    lines = ["| Part | mean ms | median ms | share |", "|---|---:|---:|---:|"]
    for part in PARTS:
        middle = statistics.median(one["ms"][part] for one in pictures)
        mean = mean_ms(pictures, [part])
        lines.append(f"| {part} | {mean:.2f} | {middle:.2f} | {mean / whole:.1%} |")
    middle = statistics.median(sum(one["ms"].values()) for one in pictures)
    return [*lines, f"| all | {whole:.2f} | {middle:.2f} | {1:.1%} |"]


def size_class(picture: dict[str, Any]) -> str:
    """Megapixels in words."""
    low = max((edge for edge in (0.0, *EDGES) if picture["megapixels"] >= edge), default=0.0)
    high = next((edge for edge in EDGES if picture["megapixels"] < edge), None)
    return f"{low:g} to {high:g} megapixels" if high else f"{low:g} megapixels and more"


def kind_lines(pictures: Sequence[dict[str, Any]]) -> list[str]:
    """The table by format, and by size of what could be read."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in sorted(pictures, key=lambda one: (one["format"] == BROKEN, one["format"])):
        groups[one["format"]].append(one)
    for one in sorted(pictures, key=lambda one: one["megapixels"]):
        if one["format"] != BROKEN:
            groups[size_class(one)].append(one)
    columns = ("decode", "network")
    lines = [
        "| Pictures | number | mean KiB | mean ms | "
        + " | ".join(f"of it {name}" for name in columns)
        + " |",
        "|---|---:|---:|---:|" + "---:|" * len(columns),
    ]
    for name, members in groups.items():
        size = statistics.mean(one["bytes"] for one in members) / 1024
        cells = " | ".join(f"{mean_ms(members, [column]):.2f}" for column in columns)
        lines.append(f"| {name} | {len(members)} | {size:.1f} | {mean_ms(members):.2f} | {cells} |")
    return lines


def rate_lines(turns: Sequence[dict[str, float]]) -> list[str]:
    """The table of ways."""
    lines = ["| Way | pictures per second | ratio to the first | lowest to highest |", "|---|---:|---:|---:|"]
    for name in turns[0]:
        found = ratios(turns, name)
        speed = statistics.median(turn[name] for turn in turns)
        told = f"{statistics.median(found):.2f} | {min(found):.2f} to {max(found):.2f}"
        lines.append(f"| {name} | {speed:.1f} | {told} |")
    return lines


def page(figures: dict[str, Any]) -> str:
    """The figures as tables, GitHub Markdown."""
    computer, pictures, turns = figures["computer"], figures["profile"]["pictures"], figures["turns"]
    cores = computer["processors"]
    together = f"{cores} processes, one thread each"
    of_cores = [found / cores for found in ratios(turns, together)]
    of_files = ratios(turns, together, "`vestige scan FILE`, a process per picture")
    kibibytes = statistics.mean(one["bytes"] for one in pictures) / 1024
    megapixels = statistics.mean(one["megapixels"] for one in pictures)
    lines = [
        "# Speed of bulk scoring",
        "",
        "Made by `python benchmarks/bulk_speed.py` from [figures.json](figures.json). "
        f"{cores} processors, {computer['machine']}, Python {computer['python']}; model "
        f"`{figures['model']}`; {len(pictures)} pictures of {megapixels:.2f} megapixels and {kibibytes:.1f} "
        "KiB on average.",
        "",
        "## Where the time goes",
        "",
        f"One process with one thread; of each picture the median of {PASSES} passes. What a batch takes is "
        "shared among its pictures by their patches, what a chunk takes equally.",
        "",
        *profile_lines(pictures),
        "",
        *kind_lines(pictures),
        "",
        "## Ways to score the same pictures",
        "",
        f"Medians of {len(turns)} turns; in each turn every way once, in an order of its own. Ratios are "
        f"taken within a turn. `vestige scan FILE` on {CALLS} of the pictures, its start included. The "
        "network alone gets patches that are ready; its pictures are those whose patches these are.",
        "",
        *rate_lines(turns),
        "",
        f"{cores} processes reach {statistics.median(of_cores):.0%} ({min(of_cores):.0%} to "
        f"{max(of_cores):.0%}) of {cores} times one process, and {statistics.median(of_files):.1f} times "
        f"({min(of_files):.1f} to {max(of_files):.1f}) the rate of a process per picture.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", type=Path, nargs="?", help="folder of pictures")
    parser.add_argument("--out", type=Path, required=True, help="folder of figures.json and README.md")
    parser.add_argument("--model", default="first")
    parser.add_argument("--sample", type=int, default=400, help="pictures measured")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--render", action="store_true", help="only make the page again")
    options = parser.parse_args()
    kept = options.out / "figures.json"
    if options.render:
        figures = json.loads(kept.read_text(encoding="utf-8"))
    elif options.pictures is None:
        parser.error("a folder of pictures is missing")
    else:
        figures = measure(options)
        options.out.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(figures) + "\n", encoding="utf-8")
    (options.out / "README.md").write_text(page(figures), encoding="utf-8")
    print(page(figures))


if __name__ == "__main__":
    if sys.argv[1:] == ["--child"]:
        child()
    else:
        main()
