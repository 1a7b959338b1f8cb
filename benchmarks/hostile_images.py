"""Decode every file of a folder and hold the decoder to its promises.

    python benchmarks/hostile_images.py FOLDER

Good folders are the test images of Pillow, libwebp, libtiff and of fuzzers. A child process does the
decoding, so that a crash or a hang costs one file and is counted. Exit status 1 if any file crashed, hung,
took longer than --seconds, was refused as "internal", raised anything but ImageError or made Python print a
warning, or if the child needed more memory than --megabytes. What libtiff prints about damaged files, which
Pillow gives no way to silence, is only counted.
"""

import argparse
import json
import resource
import selectors
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from vestige.errors import ImageError
from vestige.images import decode


def child() -> None:
    """Read paths from stdin, answer each with a line of JSON."""
    for line in sys.stdin:
        start = time.perf_counter()
        answer: dict[str, Any]
        try:
            facts = decode(line.rstrip("\n")).facts
            answer = {"code": "decoded " + facts.format, "reason": ""}
        except ImageError as error:
            answer = {"code": error.code, "reason": error.reason}
        except Exception as error:
            answer = {"code": "untyped", "reason": repr(error)}
        answer["seconds"] = time.perf_counter() - start
        answer["megabytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(answer), flush=True)


class Child:
    def __init__(self, errors: Any) -> None:
        command = [sys.executable, __file__, "--child"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        self.waiter = selectors.DefaultSelector()
        assert self.process.stdin
        assert self.process.stdout
        self.waiter.register(self.process.stdout, selectors.EVENT_READ)

    def ask(self, path: Path, patience: float) -> dict[str, Any]:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline() if self.waiter.select(patience) else None
        if line:
            return dict(json.loads(line))
        self.process.kill()
        code = "hang" if line is None else f"crash ({self.process.wait()})"
        return {"code": code, "reason": "", "seconds": patience, "megabytes": 0.0}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--seconds", type=float, default=2.0, help="longest time for one file")
    parser.add_argument("--megabytes", type=float, default=1024.0, help="most memory of the child")
    parser.add_argument("--list", action="store_true", help="print the answer for every file")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child()
        return 0
    if not options.folder or not options.folder.is_dir():
        parser.error("give a folder of pictures")

    counts: Counter[str] = Counter()
    slowest, peak, bad = (0.0, ""), (0.0, ""), []
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        worker = Child(errors)
        for path in sorted(options.folder.rglob("*")):
            if not path.is_file() or "\n" in str(path):
                continue
            if worker.process.poll() is not None:
                worker = Child(errors)
            answer = worker.ask(path, 10 * options.seconds)
            counts[answer["code"]] += 1
            slowest = max(slowest, (answer["seconds"], path.name))
            peak = max(peak, (answer["megabytes"], path.name))
            broken = answer["code"].startswith(("hang", "crash", "untyped", "internal"))
            if broken or answer["seconds"] > options.seconds:
                bad.append(f"{path}: {answer['code']} {answer['reason']} {answer['seconds']:.2f} s")
            if options.list:
                print(f"{answer['code']:14} {answer['seconds']:6.3f} s  {path.name}  {answer['reason']}")
        assert worker.process.stdin
        worker.process.stdin.close()
        worker.process.wait()
        errors.seek(0)
        noise = errors.read().splitlines()
    for code, count in sorted(counts.items()):
        print(f"{code:14} {count:6}")
    print(f"slowest: {slowest[0]:.2f} s ({slowest[1]})")
    print(f"peak memory: {peak[0]:.0f} MB (reached at {peak[1]})")
    if peak[0] > options.megabytes:
        bad.append(f"memory: {peak[0]:.0f} MB")
    print(f"lines printed by C libraries: {len(noise)}")
    bad += [f"printed: {line}" for line in noise if "Warning" in line or "Traceback" in line]
    for line in bad:
        print("VIOLATION", line)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
