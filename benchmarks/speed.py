"""How fast the field kit is on this computer: `make bench`.

Measures, on two processors if the system lets us choose: the median time from file to verdict for one
1024 x 1024 JPEG, the share of decoding in it, and pictures per second in a scan of a folder.
"""

import argparse
import io
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from vestige import Detector
from vestige.images import decode

EXAMPLES = Path(__file__).parents[1] / "examples"
SIDE = 1024


def make_pictures(folder: Path, count: int) -> list[Path]:
    """JPEGs of 1024 x 1024 pixels, quality 90, 4:2:0, cut from enlarged example pictures with fresh noise."""
    rng = np.random.default_rng(0)
    sources = sorted([*EXAMPLES.glob("**/*.png"), *EXAMPLES.glob("**/*.jpg")])
    paths = []
    for number in range(count):
        image = Image.open(sources[number % len(sources)]).convert("RGB")
        factor = 1.3 * SIDE / min(image.size)
        image = image.resize(
            (round(image.width * factor), round(image.height * factor)), Image.Resampling.LANCZOS
        )
        left, top = (int(rng.integers(length - SIDE)) for length in image.size)
        image = image.crop((left, top, left + SIDE, top + SIDE)).filter(ImageFilter.SHARPEN)
        noisy = np.asarray(image) + rng.normal(0, 4, (SIDE, SIDE, 3))
        buffer = io.BytesIO()
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
        path = folder / f"{number:04d}.jpg"
        path.write_bytes(buffer.getvalue())
        paths.append(path)
    return paths


def timed(action, repeats: int) -> list[float]:
    """Seconds of each call."""
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        found.append(time.perf_counter() - start)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="first")
    parser.add_argument("--pictures", type=int, default=200, help="pictures in the folder scan")
    parser.add_argument("--repeats", type=int, default=50, help="single scans")
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])
    detector = Detector.load(options.model)
    with tempfile.TemporaryDirectory() as folder:
        paths = make_pictures(Path(folder), options.pictures)
        kilobytes = statistics.median(path.stat().st_size for path in paths) / 1024
        for path in paths[:5]:
            detector.scan(path)
        single = [timed(lambda path=path: detector.scan(path), 1)[0] for path in paths[: options.repeats]]
        decoding = [timed(lambda path=path: decode(path), 1)[0] for path in paths[: options.repeats]]
        whole = timed(lambda: list(detector.scan_many(paths)), 1)[0]
    one, part = statistics.median(single), statistics.median(decoding)
    views = detector.card.views
    seen = f"{views.count} patches of {views.size}" if views.kind == "patches" else "facts of the file"
    print(f"model              {detector.card.title}, {seen}")
    print(f"processor          {platform.processor() or platform.machine()}, 2 of {os.cpu_count()} used")
    print(f"pictures           {SIDE} x {SIDE} JPEG, quality 90, median {kilobytes:.0f} KiB")
    print(
        f"file to verdict    {one * 1000:.1f} ms median of {len(single)} (minimum {min(single) * 1000:.1f})"
    )
    print(f"decoding           {part * 1000:.1f} ms median, {part / one:.0%} of it")
    print(f"folder scan        {len(paths) / whole:.1f} pictures/s over {len(paths)} pictures")


if __name__ == "__main__":
    main()
