"""Several processes that share one fit: Lightning's data parallelism, started where a fit begins.

Only the fit itself runs several times. Caches, folds and files are the business of the process that was
called; the others are started for each fit, get the network and where its features lie on the disk, and are
gone after it. So a whole run, with its folds and all, needs no other care than the recipe's `fit.devices`.
"""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException

from vestige.errors import VestigeError


def strategy(devices: int) -> Any:
    """Lightning's strategy for a fit on so many devices: gloo between processors, nccl between GPUs."""
    if devices == 1:
        return "auto"
    from lightning.pytorch.strategies import DDPStrategy

    # A method may leave parameters out of a batch's loss, and of a structure that is drawn most are.
    return DDPStrategy(start_method="spawn", find_unused_parameters=True)


@contextmanager
def told() -> Iterator[None]:
    """Turn what a process of a fit ended with into what the caller of the fit expects; none outlives it.

    Raises:
        KeyboardInterrupt: Lightning turned Ctrl-C into an exit of the whole program.
        VestigeError: a process failed, with its own words, or was killed.
    """
    before = set(multiprocessing.active_children())
    try:
        yield
    except SystemExit as stopped:
        raise KeyboardInterrupt from stopped
    except ProcessRaisedException as error:
        last = str(error).strip().splitlines()[-1]
        if last.startswith("KeyboardInterrupt"):
            raise KeyboardInterrupt from error
        raise VestigeError(f"one of the processes that train together failed: {last}") from error
    except ProcessExitedException as error:
        raise VestigeError(
            "one of the processes that train together was killed; the same command goes on from the last "
            "checkpoint"
        ) from error
    finally:
        # Ctrl-C may have reached the calling process alone, whose end would otherwise wait for them.
        for left in set(multiprocessing.active_children()) - before:
            left.kill()
            left.join()
