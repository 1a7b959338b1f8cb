"""The child process of `vestige.images.safe`: file bytes on stdin, pixels on stdout."""

import os
import sys
from typing import cast

from vestige.errors import ImageError
from vestige.images import raster, safe
from vestige.images.limits import Limits
from vestige.images.sniff import Format


def main() -> None:
    """Decode one picture; arguments: format, most pixels."""
    # C libraries may print to stdout; keep the way to the parent for ourselves.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    kind, max_pixels = cast(Format, sys.argv[1]), int(sys.argv[2])
    answer: raster.Raster | ImageError
    try:
        answer = raster.from_bytes(sys.stdin.buffer.read(), kind, Limits(max_pixels=max_pixels))
    except ImageError as error:
        answer = error
    safe.pack(answer, out)


if __name__ == "__main__":
    main()
