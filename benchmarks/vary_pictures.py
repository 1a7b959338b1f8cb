"""Many different pictures out of a few: crops, sizes, light, formats and qualities, and some broken files.

python benchmarks/vary_pictures.py FOLDER OUT --count 50000

Picture N follows from (seed, N) and the list of sources alone: an interrupted run goes on with the thousands
that are missing, and two machines make the same files. About one file in 500 is broken, in one of five ways.
"""

import argparse
import io
import os
import shutil
import tarfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from itertools import repeat
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

ENDINGS = {".png", ".jpg", ".jpeg", ".webp"}
SIDES = ((96, 160), (160, 256), (256, 480), (480, 768))  # of the longer side, in pixels
SHARES = (0.25, 0.55, 0.17, 0.03)
BROKEN = 0.002
TOGETHER = 1000  # pictures in a folder


def sources_in(folder: Path) -> list[str]:
    """Pictures below a folder, sorted."""
    return sorted(str(path) for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)


def vary(sources: Sequence[str], seed: int, number: int) -> tuple[str, bytes]:
    """Ending and bytes of picture `number`."""
    rng = np.random.default_rng([seed, number])
    image = _loaded(sources[int(rng.integers(len(sources)))])
    low, high = SIDES[rng.choice(len(SIDES), p=SHARES)]
    image = _cut(image, int(rng.integers(low, high)), rng)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    image = ImageEnhance.Brightness(image).enhance(float(rng.uniform(0.8, 1.2)))
    ending, data = _encoded(image, rng)
    if rng.random() < BROKEN:
        data = _broken(data, rng)
    return ending, data


@lru_cache(maxsize=512)
def _loaded(path: str) -> Image.Image:
    with Image.open(path) as image:
        image = image.convert("RGB")
    if max(image.size) > 1536:  # a large source would only cost time
        image.thumbnail((1536, 1536), Image.Resampling.LANCZOS)
    return image


def _cut(image: Image.Image, side: int, rng: np.random.Generator) -> Image.Image:
    """A part of at least half of the picture's sides, scaled to a longer side of `side` pixels."""
    width, height = (int(length * rng.uniform(0.5, 1.0)) for length in image.size)
    left, top = int(rng.integers(image.width - width + 1)), int(rng.integers(image.height - height + 1))
    factor = side / max(width, height)
    size = (max(64, round(width * factor)), max(64, round(height * factor)))
    kind = (Image.Resampling.BICUBIC, Image.Resampling.LANCZOS, Image.Resampling.BILINEAR)[rng.integers(3)]
    return image.resize(size, kind, box=(left, top, left + width, top + height))


def _encoded(image: Image.Image, rng: np.random.Generator) -> tuple[str, bytes]:
    buffer = io.BytesIO()
    kind = rng.random()
    if kind < 0.75:
        options = {"subsampling": int(rng.choice([0, 2])), "progressive": bool(rng.random() < 0.2)}
        image.save(buffer, "JPEG", quality=int(rng.integers(50, 96)), **options)
        return ".jpg", buffer.getvalue()
    if kind < 0.9:
        image.save(buffer, "PNG", compress_level=1)
        return ".png", buffer.getvalue()
    image.save(buffer, "WEBP", quality=int(rng.integers(50, 96)), method=1)
    return ".webp", buffer.getvalue()


def _broken(data: bytes, rng: np.random.Generator) -> bytes:
    return (
        data[: len(data) // 2],
        b"",
        b"<html>404 Not Found</html>",
        rng.bytes(2000),
        data[:40] + rng.bytes(200) + data[240:],
    )[rng.integers(5)]


def write_thousand(folder: Path, out: Path, seed: int, first: int, end: int) -> int:
    """Write the pictures from `first` on as a folder, as a whole or not at all; returns their bytes."""
    place = out / f"{first // TOGETHER:05d}"
    if place.exists():
        return 0
    sources = sources_in(folder)
    draft = out / f"{place.name}.part"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    written = 0
    for number in range(first, end):
        ending, data = vary(sources, seed, number)
        (draft / f"{number:07d}{ending}").write_bytes(data)
        written += len(data)
    draft.rename(place)
    return written


def write_shard(folder: Path, out: Path, seed: int, first: int, end: int, ending: str) -> int:
    """Write the pictures from `first` on as one shard, .tar or .parquet; returns their bytes."""
    place = out / f"{first:07d}{ending}"
    if place.exists():
        return 0
    sources = sources_in(folder)
    made = ((number, *vary(sources, seed, number)) for number in range(first, end))
    files = [(f"{number:07d}{suffix}", data) for number, suffix, data in made]
    out.mkdir(parents=True, exist_ok=True)
    draft = place.with_name(place.name + ".part")
    if ending == ".tar":
        with tarfile.open(draft, "w") as tar:
            for name, data in files:
                member = tarfile.TarInfo(name)  # its time is 0: the same bytes each time
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    else:
        import pyarrow as pa
        import pyarrow.parquet as pq

        names, contents = zip(*files, strict=True)
        table = pa.table({"path": list(names), "bytes": pa.array(contents, pa.binary())})
        pq.write_table(table, draft, row_group_size=100, compression="none")
    draft.rename(place)
    return sum(len(data) for _, data in files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="pictures to vary")
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    shards = parser.add_mutually_exclusive_group()
    shards.add_argument("--tar", type=int, metavar="PICTURES", help="tar shards of so many pictures")
    shards.add_argument("--parquet", type=int, metavar="ROWS", help="Parquet files of so many pictures")
    options = parser.parse_args()
    if not sources_in(options.folder):
        parser.error(f"{options.folder}: no pictures")
    size = options.tar or options.parquet or TOGETHER
    firsts = range(0, options.count, size)
    ends = [min(first + size, options.count) for first in firsts]
    write: Callable[..., int] = write_thousand
    if options.tar or options.parquet:
        write = partial(write_shard, ending=".tar" if options.tar else ".parquet")
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        given = (repeat(options.folder), repeat(options.out), repeat(options.seed))
        written = pool.map(write, *given, firsts, ends)
        total = 0
        for done, amount in enumerate(written, start=1):
            total += amount
            print(f"\r{done} of {len(firsts)}, {total / 1e6:.0f} MB", end="", flush=True)
    print()


if __name__ == "__main__":
    main()
