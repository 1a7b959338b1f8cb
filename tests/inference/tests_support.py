"""A model card in memory."""

from typing import Any

from conftest import card_of
from vestige.inference.card import ModelCard


def card(**changes: Any) -> ModelCard:
    return ModelCard.model_validate(card_of(b"", **changes))
