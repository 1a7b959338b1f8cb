"""What a billion pictures would take, by the figures of `bulk_speed.py` and stated assumptions.

python benchmarks/scale_plan.py                                   # into docs/scale.md
python benchmarks/scale_plan.py --set cpu_hour=0.03 --print       # with prices of your own
"""

import argparse
import json
import statistics
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from bulk_profile import BROKEN
from bulk_speed import mean_ms

from vestige.bulk.chunks import CHUNK
from vestige.bulk.pool import AHEAD
from vestige.bulk.run import PART_SECONDS
from vestige.evaluation.docs import inserted
from vestige.inference.package import load_package

ROOT = Path(__file__).parents[1]
HOUR, MIB, GIB, TIB = 3600, 2**20, 2**30, 2**40


def assumed(default: float, words: str) -> Any:
    """A number that nobody here has measured."""
    return field(default=default, metadata={"words": words})


@dataclass(frozen=True)
class Assumed:
    """What the plan assumes and did not measure."""

    pictures: float = assumed(1e9, "pictures")
    job: float = assumed(1e6, "pictures in a job")
    machine_cores: float = assumed(16, "processors of a CPU machine")
    days: float = assumed(7, "days that the whole may take")
    cpu_hour: float = assumed(0.04, "price of a processor-hour")
    gpu_hour: float = assumed(1.20, "price of an hour of a machine with a GPU")
    gpu_cores: float = assumed(8, "processors of that machine")
    gpu_patches: float = assumed(3000, "patches per second of the network on that GPU")
    storage_month: float = assumed(0.023, "price of a GiB of object storage for a month")
    thousand_reads: float = assumed(0.0004, "price of a thousand reads from object storage")
    egress: float = assumed(0.09, "price of a GiB that leaves the provider or region")
    shard_mib: float = assumed(256, "MiB in a shard")
    kills: float = assumed(0.01, "kills of a machine per hour (interruptible ones, failures)")
    generated: float = assumed(0.05, "share of generated pictures")


@dataclass(frozen=True)
class Measured:
    """What `figures.json` of `bulk_speed.py` says, per picture unless told otherwise.

    Attributes:
        per_core: pictures per second of one processor while all of them work.
        per_file: pictures per second with a process per picture.
        patches: patches that the network is given of a picture.
    """

    per_core: float
    per_file: float
    ms: float
    network_ms: float
    other_ms: float
    kibibytes: float
    megapixels: float
    row_bytes: float
    unreadable: float
    model: str
    patches: float


def read(path: Path) -> Measured:
    """The measured figures.

    Raises:
        SystemExit: there are none.
    """
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SystemExit(f"{path}: no figures; make them with benchmarks/bulk_speed.py") from None
    pictures, turns = figures["profile"]["pictures"], figures["turns"]
    cores = figures["computer"]["processors"]
    together = f"{cores} processes, one thread each"
    whole, network = mean_ms(pictures), mean_ms(pictures, ["network"])
    return Measured(
        per_core=statistics.median(turn[together] for turn in turns) / cores,
        per_file=statistics.median(turn["`vestige scan FILE`, a process per picture"] for turn in turns),
        ms=whole,
        network_ms=network,
        other_ms=whole - network,
        kibibytes=statistics.mean(one["bytes"] for one in pictures) / 1024,
        megapixels=statistics.mean(one["megapixels"] for one in pictures),
        row_bytes=figures["profile"]["bytes_per_row"],
        unreadable=statistics.mean(one["format"] == BROKEN for one in pictures),
        model=figures["model"],
        patches=figures["profile"]["patches_per_picture"],
    )


def table(rows: list[tuple[str, str]], head: str = "| | |\n|---|---:|") -> list[str]:
    """Two columns."""
    return [*head.split("\n"), *(f"| {name} | {value} |" for name, value in rows)]


def assumptions(given: Assumed) -> list[str]:
    """What was assumed, with the names for `--set`."""
    rows = [
        f"| {one.metadata['words']} | `{one.name}` | {getattr(given, one.name):,.10g} |"
        for one in fields(given)
    ]
    return ["| Assumed, not measured: put in your own | name | value |", "|---|---|---:|", *rows]


def processors(seen: Measured, given: Assumed) -> list[tuple[str, str]]:
    """Time and money on processors alone."""
    core_hours = given.pictures / seen.per_core / HOUR
    cores = core_hours / (24 * given.days)
    per_million = 1e6 / seen.per_core / HOUR
    hours_of_job = given.job / seen.per_core / given.machine_cores / HOUR
    kills = given.kills * core_hours / given.machine_cores
    # What is not committed yet, and chunks that are scored and wait for a slower one before them.
    lost = PART_SECONDS + AHEAD * CHUNK / seen.per_core
    again = kills * lost * given.machine_cores / HOUR
    return [
        ("pictures per second of one processor, all at work (measured)", f"{seen.per_core:.1f}"),
        ("processor-hours for a million", f"{per_million:.1f}"),
        ("cost of a million", f"{per_million * given.cpu_hour:.2f}"),
        ("the same with a process per picture: cost on one processor", _per_file(seen, given)),
        ("processor-hours for all", f"{core_hours:,.0f}"),
        ("cost of all", f"{core_hours * given.cpu_hour:,.0f}"),
        (f"processors for {given.days:g} days", f"{cores:,.0f}"),
        ("jobs", f"{given.pictures / given.job:,.0f}"),
        ("hours of a job on one machine", f"{hours_of_job:.2f}"),
        ("kills of machines to be expected", f"{kills:,.0f}"),
        ("processor-hours that they make be done again, at most", f"{again:,.1f}"),
    ]


def _per_file(seen: Measured, given: Assumed) -> str:
    return f"{1e6 / seen.per_file / HOUR * given.cpu_hour:.2f} and more"


def storage(seen: Measured, given: Assumed) -> list[tuple[str, str]]:
    """Bytes kept, read and moved."""
    whole = given.pictures * seen.kibibytes * 1024
    shards = whole / (given.shard_mib * MIB)
    cores = given.pictures / seen.per_core / HOUR / (24 * given.days)
    megabits = seen.per_core * seen.kibibytes * 1024 * 8 / 1e6
    return [
        ("KiB and megapixels of a picture (measured)", f"{seen.kibibytes:.1f}, {seen.megapixels:.2f}"),
        ("pictures, TiB", f"{whole / TIB:,.1f}"),
        ("keeping them for a month", f"{whole / GIB * given.storage_month:,.0f}"),
        ("sending them to another provider or region once", f"{whole / GIB * given.egress:,.0f}"),
        ("reads if each is an object", f"{given.pictures / 1000 * given.thousand_reads:,.0f}"),
        (f"shards of {given.shard_mib:g} MiB", f"{shards:,.0f}"),
        ("pictures in a shard", f"{given.pictures / shards:,.0f}"),
        ("reads if each shard is one object", f"{shards / 1000 * given.thousand_reads:.2f}"),
        ("bytes of a row of the result (measured)", f"{seen.row_bytes:.0f}"),
        ("result, GiB", f"{given.pictures * seen.row_bytes / GIB:,.1f}"),
        ("network for one processor, Mbit/s", f"{megabits:.1f}"),
        ("network for all of them, Gbit/s", f"{megabits * cores / 1000:.1f}"),
        ("rows with an error if as many as here are unreadable", f"{given.pictures * seen.unreadable:,.0f}"),
    ]


def gpus(seen: Measured, given: Assumed) -> list[tuple[str, str]]:
    """What a GPU leaves to do, and what it makes of the cost."""
    fed = 1000 / seen.other_ms
    by_gpu = given.gpu_patches / seen.patches
    rate = min(fed * given.gpu_cores, by_gpu)
    bound = "processors" if fed * given.gpu_cores < by_gpu else "GPU"
    return [
        ("milliseconds of a picture: network (measured)", f"{seen.network_ms:.1f}"),
        ("all else: read, decode, cut, report (measured)", f"{seen.other_ms:.1f}"),
        ("patches of a picture (measured)", f"{seen.patches:.2f}"),
        ("pictures per second that one processor prepares if the network costs nothing", f"{fed:.0f}"),
        ("pictures per second of the network on the GPU (assumed)", f"{by_gpu:,.0f}"),
        ("processors that keep it busy", f"{by_gpu / fed:.1f}"),
        ("pictures per second of that machine", f"{rate:,.0f}, bound by its {bound}"),
        ("cost of a million", f"{1e6 / rate / HOUR * given.gpu_hour:.2f}"),
        ("machines for all within the days above", f"{given.pictures / rate / HOUR / 24 / given.days:.1f}"),
    ]


def base_rate(seen: Measured, given: Assumed) -> list[str]:
    """How many of those that are called generated are not."""
    card = load_package(seen.model).card
    lines = [
        f"| `{card.title}`, {given.generated:g} of the pictures generated | real, called generated | "
        "generated, found | of those called generated are real |",
        "|---|---:|---:|---:|",
    ]
    for point in card.operating_points:
        metric = f"recall at {point.fpr * 100:g} % FPR"
        recall = [one for one in card.results if one.metric.startswith(metric)]
        if recall:
            wrong = given.pictures * (1 - given.generated) * point.fpr
            right = given.pictures * given.generated * recall[0].value
            share = wrong / (wrong + right)
            name = f"at {point.fpr:.0%} false positives"
            lines.append(f"| {name} | {wrong:,.0f} | {right:,.0f} | {share:.0%} |")
    return lines


def block(seen: Measured, given: Assumed) -> str:
    """All tables."""
    return "\n".join(
        [
            "Made by `python benchmarks/scale_plan.py`. Measured is what "
            "[this page](results/bulk-speed/README.md) says; all else follows from it and the assumptions. "
            "Prices are in one currency, whichever.",
            "",
            *assumptions(given),
            "",
            *table(processors(seen, given), "| On processors | |\n|---|---:|"),
            "",
            *table(storage(seen, given), "| Bytes | |\n|---|---:|"),
            "",
            *table(gpus(seen, given), "| With a GPU | |\n|---|---:|"),
            "",
            *base_rate(seen, given),
        ]
    )


def changed(given: Assumed, settings: list[str]) -> Assumed:
    """The assumptions with some of them set anew.

    Raises:
        SystemExit: a setting is not NAME=NUMBER with a known name and a number above 0.
    """
    known = {one.name for one in fields(Assumed)}
    for setting in settings:
        name, _, text = setting.partition("=")
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if name not in known or not 0 < value < float("inf"):
            raise SystemExit(f"--set {setting}: expected NAME=NUMBER above 0 with a name of {sorted(known)}")
        given = replace(given, **{name: value})
    return given


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--figures", type=Path, default=ROOT / "docs/results/bulk-speed/figures.json")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/scale.md")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=NUMBER")
    parser.add_argument("--print", action="store_true", help="only show the tables")
    options = parser.parse_args()
    made = block(read(options.figures), changed(Assumed(), options.set))
    if options.print:
        print(made)
    else:
        text = options.page.read_text(encoding="utf-8")
        options.page.write_text(inserted(text, "plan", made), encoding="utf-8")


if __name__ == "__main__":
    main()
