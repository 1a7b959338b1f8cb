"""The child process of `vestige.provenance.c2pa_process`: files on stdin, answers on stdout."""

import json
import os
import sys

from vestige.provenance.c2pa_native import read_store

READY = b"ready\n"


def main() -> None:
    """Answer until stdin ends.

    A request is a line of JSON (`length`, `mime`, `anchors`, `remote`) and `length` bytes; an answer is a
    line of JSON.
    """
    # The library may print; keep the way to the parent for ourselves.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    out.write(READY)
    out.flush()
    while line := sys.stdin.buffer.readline():
        request = json.loads(line)
        data = sys.stdin.buffer.read(request["length"])
        if len(data) < request["length"]:
            break  # the parent is gone
        answer = read_store(data, request["mime"], request["anchors"], request["remote"])
        out.write(json.dumps(answer).encode() + b"\n")
        out.flush()


if __name__ == "__main__":
    main()
