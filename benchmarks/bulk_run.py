"""`vestige bulk` on many pictures: rate, memory, kills, a Ray cluster. Whether the tables are the same.

    python benchmarks/vary_pictures.py FOLDER PICTURES --count 50000
    python benchmarks/bulk_run.py PICTURES --work WORK --out docs/results/bulk-run

Four parts, each of which may be run alone (`--parts single,whole`); what is there is kept in
`OUT/figures.json`, of which the page beside it is made (`--parts render` makes only that):

single  one process on one processor, on every n-th picture: before the others and after
whole   all processors, never stopped; memory of all processes of the command, every second
killed  the same, killed with SIGKILL at five random moments and called again each time
ray     the same through a Ray cluster on this computer with two actors, of which one is killed on the way

Exit status 1 if tables differ, an input has another number of rows than one, or a process is left behind.
"""

import argparse
import json
import os
import platform
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq

MIB = 2**20
SAMPLE = 3000
KILLS = 5
PARTS = ("single", "whole", "killed", "ray")


def start(arguments: list[str], one_processor: bool = False) -> "subprocess.Popen[str]":
    """The command in a process group of its own."""
    pinned = ["taskset", "-c", "0"] if one_processor else []
    command = [*pinned, sys.executable, "-c", "from vestige.apps.cli import main; main()", "bulk", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def finish(running: "subprocess.Popen[str]") -> tuple[float, str]:
    """Pictures per second as the command tells them, and all that it told."""
    told = running.communicate()[1]
    if running.returncode not in (0, 2):
        raise SystemExit(f"vestige bulk ended with {running.returncode}: {told}")
    return float(re.findall(r"([\d.]+) per second", told)[-1]), told


class Watched:
    """Memory of a command and all its processes, every second until it ends.

    Attributes:
        megabytes: proportional set size, in which memory that processes share counts once.
    """

    def __init__(self, running: "subprocess.Popen[str]") -> None:
        self.megabytes: list[float] = []
        self._process = psutil.Process(running.pid)
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE:
            try:
                family = [self._process, *self._process.children(recursive=True)]
                self.megabytes.append(sum(one.memory_full_info().pss for one in family) / MIB)
            except psutil.Error:
                pass  # one has just ended
            time.sleep(1)

    def figures(self) -> dict[str, float]:
        """Medians of the first, middle and last third after the first ten seconds, and the most seen."""
        seen = self.megabytes[10:] or self.megabytes
        third = max(1, len(seen) // 3)
        parts = {"first": seen[:third], "middle": seen[third : 2 * third] or seen, "last": seen[-third:]}
        return {name: statistics.median(part) for name, part in parts.items()} | {"most": max(self.megabytes)}


def single(pictures: Path, work: Path) -> dict[str, Any]:
    """The rate of one process on one processor, on a sample of the pictures."""
    paths = sorted(str(path) for path in pictures.rglob("*") if path.is_file())
    chosen = paths[:: max(1, len(paths) // SAMPLE)]
    listed = work / "sample.txt"
    listed.write_text("\n".join(chosen) + "\n")
    arguments = [str(listed), str(work / "single.parquet"), "--processes", "1", "--restart"]
    rate, _ = finish(start(arguments, one_processor=True))
    return {"pictures": len(chosen), "per_second": rate}


def whole(pictures: Path, work: Path) -> dict[str, Any]:
    """All pictures without a stop."""
    running = start([str(pictures), str(work / "whole.parquet"), "--restart"])
    watched = Watched(running)
    rate, told = finish(running)
    print(told)
    return {"per_second": rate, "mebibytes": watched.figures(), **rows_of(work / "whole.parquet", pictures)}


def killed(pictures: Path, work: Path) -> dict[str, Any]:
    """All pictures, killed at random: by turns the whole group of processes, and the first one alone."""
    seconds = json.loads((work / "seconds.json").read_text())
    rng = random.Random(0)
    output = work / "killed.parquet"
    moments, left = [], 0
    arguments = [str(pictures), str(output)]
    clear(output)
    for number in range(KILLS):
        running = start(arguments)
        after = rng.uniform(0.02, 0.18) * seconds
        time.sleep(after)
        family = psutil.Process(running.pid).children(recursive=True)
        if number % 2:
            os.killpg(running.pid, signal.SIGKILL)
        else:
            running.kill()
        running.communicate()
        left += len(psutil.wait_procs(family, timeout=30)[1])
        moments.append({"after_seconds": round(after, 1), "committed": committed(output)})
        print(f"killed after {after:.0f} s, {moments[-1]['committed']} rows committed", flush=True)
    _, told = finish(start(arguments))
    print(told)
    return {"kills": moments, "left_behind": left, **compared(output, work / "whole.parquet", pictures)}


def ray(pictures: Path, work: Path) -> dict[str, Any]:
    """All pictures through Ray; an actor is killed after a fifth of the time that the other run took."""
    seconds = json.loads((work / "seconds.json").read_text())
    output = work / "ray.parquet"
    clear(output)
    running = start([str(pictures), str(output), "--engine", "ray", "--actors", "2"])
    watched = Watched(running)
    time.sleep(0.2 * seconds)
    family = psutil.Process(running.pid).children(recursive=True)
    actors = [one for one in family if is_actor(one)]
    if not actors:
        raise SystemExit("no Ray actor is at work")
    actors[0].kill()
    print(f"killed {actors[0].pid}, one of {len(actors)} actors", flush=True)
    rate, told = finish(running)
    print(told)
    figures = {"per_second": rate, "actors": len(actors), "mebibytes": watched.figures()}
    left = psutil.wait_procs(family, timeout=30)[1]
    return {**figures, "left_behind": len(left), **compared(output, work / "whole.parquet", pictures)}


def is_actor(process: psutil.Process) -> bool:
    """Whether it is a process of Ray that scores; Ray names its own helpers `ray::` as well."""
    try:
        return "ray::MapWorker" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def clear(output: Path) -> None:
    """Remove what an earlier measurement left."""
    output.unlink(missing_ok=True)
    shutil.rmtree(f"{output}.parts", ignore_errors=True)


def committed(output: Path) -> int:
    """Rows that are safe."""
    log = Path(f"{output}.parts/_commits.jsonl")
    lines = log.read_text().splitlines() if log.exists() else []
    return int(json.loads(lines[-1])["end"]) if lines else 0


def rows_of(output: Path, pictures: Path) -> dict[str, Any]:
    """Rows of a table, inputs without a row, and inputs with more than one."""
    inputs = {str(path) for path in pictures.rglob("*") if path.is_file()}
    table = pq.read_table(output)
    paths = table.column("path").to_pylist()
    unreadable = len(paths) - table.column("error_code").null_count
    return {
        "inputs": len(inputs),
        "rows": len(paths),
        "missing": len(inputs - set(paths)),
        "twice": len(paths) - len(set(paths)),
        "unreadable": unreadable,
        "bytes": output.stat().st_size,
    }


def compared(output: Path, other: Path, pictures: Path) -> dict[str, Any]:
    """`rows_of`, and whether the table is that of the run that was never stopped."""
    same = pq.read_table(output).equals(pq.read_table(other))
    return {
        **rows_of(output, pictures),
        "same_rows": same,
        "same_bytes": output.read_bytes() == other.read_bytes(),
    }


def measure(name: str, pictures: Path, work: Path, figures: dict[str, Any]) -> None:
    """Run one part and note its figures."""
    began = time.monotonic()
    if name == "single":
        figures.setdefault("single", []).append(single(pictures, work))
        return
    run: dict[str, Callable[[Path, Path], dict[str, Any]]] = {"whole": whole, "killed": killed, "ray": ray}
    figures[name] = run[name](pictures, work)
    took = time.monotonic() - began
    figures[name]["seconds"] = round(took, 1)
    if name == "whole":
        (work / "seconds.json").write_text(json.dumps(took))


def page(figures: dict[str, Any]) -> str:
    """The figures in words and tables, GitHub Markdown."""
    computer = figures["computer"]
    lines = [
        "# `vestige bulk` on many pictures",
        "",
        "Made by `python benchmarks/bulk_run.py` from [figures.json](figures.json); the pictures are made by "
        f"`python benchmarks/vary_pictures.py`. {computer['processors']} processors, {computer['machine']}, "
        f"Python {computer['python']}. Memory is the proportional set size of all processes of the command, "
        "every second: medians of the first, middle and last third, and the most seen.",
        "",
    ]
    rates = [one["per_second"] for one in figures.get("single", [])]
    whole = figures.get("whole")
    if rates and whole:
        alone, cores = statistics.mean(rates), computer["processors"]
        told = ", ".join(f"{rate:.1f}" for rate in rates)
        lines += [
            f"One process on one processor scores {alone:.1f} pictures per second (measured "
            f"{len(rates)} times on {figures['single'][0]['pictures']:,} of the pictures: {told}). All "
            f"processors score **{whole['per_second']:.1f}** per second, "
            f"{whole['per_second'] / (cores * alone):.0%} of {cores} times that.",
            "",
        ]
    names = {"whole": "never stopped", "killed": "killed five times", "ray": "Ray, an actor killed"}
    there = [name for name in names if name in figures]
    lines += [
        "| | " + " | ".join(names[name] for name in there) + " |",
        "|---|" + "---:|" * len(there),
    ]
    for title, told in ROWS.items():
        cells = [told(figures[name]) for name in there]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    if "killed" in figures:
        kills = "; ".join(
            f"after {kill['after_seconds']:.0f} s ({kill['committed']:,} rows were committed)"
            for kill in figures["killed"]["kills"]
        )
        lines += ["", f"Killed {kills}: by turns the first process alone and all of them."]
    return "\n".join(lines) + "\n"


def _memory(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda run: f"{run['mebibytes'][name]:.0f}" if "mebibytes" in run else ""


ROWS: dict[str, Callable[[dict[str, Any]], str]] = {
    "inputs": lambda run: f"{run['inputs']:,}",
    "rows": lambda run: f"{run['rows']:,}",
    "inputs without a row": lambda run: f"{run['missing']:,}",
    "inputs with several rows": lambda run: f"{run['twice']:,}",
    "rows with an error": lambda run: f"{run['unreadable']:,}",
    "rows as in the first run": lambda run: {True: "yes", False: "NO"}.get(run.get("same_rows"), ""),
    "file as in the first run, byte for byte": lambda run: {True: "yes", False: "no"}.get(
        run.get("same_bytes"), ""
    ),
    "processes left behind": lambda run: str(run.get("left_behind", "")),
    "seconds, pauses between calls included": lambda run: f"{run['seconds']:.0f}",
    "pictures per second": lambda run: f"{run['per_second']:.1f}" if "per_second" in run else "",
    "memory, first third (MiB)": _memory("first"),
    "memory, middle third": _memory("middle"),
    "memory, last third": _memory("last"),
    "memory, most": _memory("most"),
    "bytes per row": lambda run: f"{run['bytes'] / run['rows']:.0f}",
}


def failed(figures: dict[str, Any]) -> bool:
    """Whether anything that must hold does not."""
    runs = [figures[name] for name in ("whole", "killed", "ray") if name in figures]
    return any(
        run["missing"] or run["twice"] or not run.get("same_rows", True) or run.get("left_behind", 0)
        for run in runs
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", type=Path, help="folder of pictures")
    parser.add_argument("--out", type=Path, required=True, help="folder of figures.json and README.md")
    parser.add_argument("--work", type=Path, help="folder for tables; default: a temporary one")
    parser.add_argument("--parts", default="single,whole,killed,ray,single", help="or render")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    kept = options.out / "figures.json"
    figures = json.loads(kept.read_text()) if kept.exists() else {}
    figures["computer"] = {
        "processors": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        for name in options.parts.split(","):
            if name == "render":
                continue
            if name not in PARTS:
                parser.error(f"no part {name}; there are {', '.join(PARTS)} and render")
            print(f"{name} ...", flush=True)
            measure(name, options.pictures, work, figures)
            kept.write_text(json.dumps(figures, indent=1) + "\n")
            (options.out / "README.md").write_text(page(figures))
    (options.out / "README.md").write_text(page(figures))
    print(page(figures))
    sys.exit(1 if failed(figures) else 0)


if __name__ == "__main__":
    main()
