"""Scoring pictures by the million: one function, and what runs it on many processes or machines."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vestige.bulk.scorer import ScoreOptions, score_batch

__all__ = ["ScoreOptions", "score_batch"]


def __getattr__(name: str) -> Any:
    # Not at import: the command line reads its options from here and has to start quickly.
    if name in __all__:
        from vestige.bulk import scorer

        return getattr(scorer, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
