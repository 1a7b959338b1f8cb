"""What `vestige serve` does under load on this computer: answers, seconds, memory.

    python benchmarks/serve_load.py --seconds 60 --clients 8 --out docs/results/serve-load

Starts a server on a free port of this computer and sends it pictures from several clients without pause, in
two passages: with room for all clients, and with a queue that is too short for them. Counts what was asked
and what was answered, and looks at the memory of the server. Exit status 1 if a request was lost, or got
another status than 200, or 429 where the queue is short.
"""

import argparse
import csv
import io
import os
import platform
import re
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import psutil
from PIL import Image, ImageFilter

EXAMPLES = Path(__file__).parents[1] / "examples"
SIDE = 1024
COLUMNS = (
    "passage", "clients", "concurrent", "queue", "seconds", "requests", "answered 200", "answered 429",
    "lost", "other", "answers per second", "p50 ms", "p95 ms", "p99 ms", "start MiB", "middle MiB", "end MiB",
    "peak MiB",
)  # fmt: skip


@dataclass
class Tally:
    """What the clients saw."""

    statuses: Counter[int] = field(default_factory=Counter)
    lost: int = 0
    seconds: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, status: int, seconds: float) -> None:
        with self.lock:
            self.statuses[status] += 1
            if status == 200:
                self.seconds.append(seconds)

    def lose(self) -> None:
        with self.lock:
            self.lost += 1

    @property
    def requests(self) -> int:
        return self.statuses.total() + self.lost


def make_pictures(count: int) -> list[bytes]:
    """JPEGs of 1024 x 1024 pixels, quality 90, cut from enlarged example pictures with fresh noise."""
    rng = np.random.default_rng(0)
    sources = sorted([*EXAMPLES.glob("**/*.png"), *EXAMPLES.glob("**/*.jpg")])
    files = []
    for number in range(count):
        image = Image.open(sources[number % len(sources)]).convert("RGB").resize((SIDE, SIDE))
        noise = rng.normal(0, 4, (SIDE, SIDE, 3))
        pixels = np.clip(np.asarray(image.filter(ImageFilter.SHARPEN)) + noise, 0, 255).astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "JPEG", quality=90)
        files.append(buffer.getvalue())
    return files


def start(model: str, concurrent: int, queue: int) -> tuple["subprocess.Popen[str]", str]:
    """A server, and its address."""
    command = [sys.executable, "-c", "from vestige.apps.cli import main; main()", "serve", "--port", "0"]
    options = ["--model", model, "--concurrent", str(concurrent), "--queue", str(queue)]
    process = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if found := re.search(r"listening on (http://\S+)", line):
            # Somebody must read on, or the server would wait for room in the pipe.
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return process, found[1]
    sys.exit("the server did not start: " + "".join(said))


def client(url: str, files: list[bytes], number: int, end: float, tally: Tally) -> None:
    """Send pictures until the time is over; an answer must be complete and about the picture sent."""
    with httpx.Client(base_url=url, timeout=120) as line:
        turn = number
        while time.monotonic() < end:
            turn += 1
            name = f"{number}-{turn}.jpg"
            begin = time.perf_counter()
            try:
                answer = line.post("/v1/scan", files={"files": (name, files[turn % len(files)])})
                if answer.status_code == 200 and answer.json()["reports"][0]["path"] != name:
                    tally.lose()
                    continue
            except (httpx.TransportError, ValueError):
                tally.lose()
                continue
            tally.answer(answer.status_code, time.perf_counter() - begin)
            if answer.status_code == 429:
                time.sleep(0.05)  # not what Retry-After asks for: the queue is to stay full


def passage(
    name: str, given: argparse.Namespace, concurrent: int, queue: int, files: list[bytes]
) -> dict[str, object]:
    """One server under load."""
    process, url = start(given.model, concurrent, queue)
    memory: list[float] = []
    tally = Tally()
    try:
        watched = psutil.Process(process.pid)
        httpx.post(f"{url}/v1/scan", files={"files": files[0]}, timeout=120).raise_for_status()
        begin = time.monotonic()
        end = begin + given.seconds
        threads = [
            threading.Thread(target=client, args=(url, files, number, end, tally))
            for number in range(given.clients)
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            memory.append(watched.memory_info().rss / 2**20)
            time.sleep(0.25)
        spent = time.monotonic() - begin
        memory.append(watched.memory_info().rss / 2**20)
    finally:
        process.terminate()
        process.wait(120)
    fine, busy = tally.statuses[200], tally.statuses[429]
    cuts = statistics.quantiles(tally.seconds, n=100) if len(tally.seconds) > 1 else [float("nan")] * 99
    values = (
        name, given.clients, concurrent, queue, round(spent, 1), tally.requests, fine, busy, tally.lost,
        tally.statuses.total() - fine - busy, round(fine / spent, 1),
        *(round(1000 * cuts[place - 1], 1) for place in (50, 95, 99)),
        round(memory[0]), round(memory[len(memory) // 2]), round(memory[-1]), round(max(memory)),
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def write(out: Path, rows: list[dict[str, object]], model: str) -> None:
    """`README.md` and `load.csv`."""
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "load.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    lines = [
        "# `vestige serve` under load",
        "",
        "Made by `python benchmarks/serve_load.py`; the same figures are in [load.csv](load.csv). Clients "
        f"and server share one computer: {os.cpu_count()} processors, {platform.machine()}, Python "
        f"{platform.python_version()}. Model `{model}`, JPEGs of {SIDE} x {SIDE} pixels, one a request, each "
        "client sends the next as soon as it has an answer. Milliseconds are those of answers with status "
        "200. Memory is the resident set of the server's process: after its first answer, in the middle, "
        "after the last one, and the largest seen. Lost are requests without a complete answer of their own.",
        "",
        "| | " + " | ".join(str(row["passage"]) for row in rows) + " |",
        "|---|" + "---:|" * len(rows),
    ]
    lines += [f"| {name} | " + " | ".join(str(row[name]) for row in rows) + " |" for name in COLUMNS[1:]]
    (out / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="first")
    parser.add_argument("--seconds", type=float, default=60, help="of each of the two passages")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    files = make_pictures(16)
    rows = [
        passage("room for all", given, 8, max(32, given.clients), files),
        passage("overloaded", given, 1, 1, files),
    ]
    write(given.out, rows, given.model)
    for row in rows:
        print(", ".join(f"{name} {value}" for name, value in row.items()))
    first, second = rows
    sys.exit(
        int(
            bool(
                first["lost"] or first["other"] or first["answered 429"] or second["lost"] or second["other"]
            )
        )
    )


if __name__ == "__main__":
    main()
