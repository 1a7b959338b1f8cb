"""Words that name a class. Labels come from words only: alphabetical order gives ai = 0, but 0_real = 0."""

import json
import re
from typing import Any

_REAL = ("real", "nature", "natural", "authentic", "genuine", "pristine")
_GENERATED = ("fake", "ai", "aigc", "generated", "ai_generated", "synthetic", "synthesized", "synthesised")
_NOUNS = ("image", "images", "picture", "pictures", "photo", "photos")


def _spelled(words: tuple[str, ...], label: int) -> dict[str, int]:
    forms = [*words, *(f"{word}s" for word in ("real", "fake") if word in words)]
    return {form: label for word in forms for form in (word, *(f"{word}_{noun}" for noun in _NOUNS))}


WORDS: dict[str, int] = {**_spelled(_REAL, 0), **_spelled(_GENERATED, 1)}


def label_of(text: str) -> int | None:
    """The label that a word stands for, whatever its case: 0 real, 1 generated, None for any other word.

    A number in front counts for nothing: "0_real" and "1_real" are both real. Numbers alone are no words.
    """
    word = re.sub(r"[\s\-]+", "_", text.strip().lower())
    return WORDS.get(re.sub(r"^\d+_", "", word))


def class_names(schema: Any, column: str) -> list[str]:
    """Names of the classes 0, 1, ... of a column, which the `datasets` library keeps in a Parquet file.

    Args:
        schema: of the file, a `pyarrow.Schema`.

    Returns:
        [] where the file has none.
    """
    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        return [str(name) for name in features[column]["names"]]
    except (KeyError, TypeError, ValueError):
        return []
