"""Evaluation protocols: named, versioned, deterministic, and applied to both classes alike."""

from vestige.evaluation.protocols.condition import Condition, LeftOut
from vestige.evaluation.protocols.delivery import Delivery, deliveries
from vestige.evaluation.protocols.delivery_summary import DeliverySummary, summarise
from vestige.evaluation.protocols.names import conditions, known

__all__ = [
    "Condition",
    "Delivery",
    "DeliverySummary",
    "LeftOut",
    "conditions",
    "deliveries",
    "known",
    "summarise",
]
