"""Vestige tells AI-generated images from real ones, shows where and why, and says when it cannot know.

>>> from vestige import Detector
>>> report = Detector.load().scan("photo.jpg")      # doctest: +SKIP
>>> report.verdict, report.probability              # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Detector", "ImageReport", "Verdict", "VestigeError", "__version__"]

if TYPE_CHECKING:
    from vestige.detector import Detector
    from vestige.errors import VestigeError
    from vestige.results import ImageReport, Verdict


def __getattr__(name: str) -> Any:
    # Loaded on first use: `import vestige` and `vestige --help` stay fast.
    if name == "Detector":
        from vestige.detector import Detector

        return Detector
    if name in {"ImageReport", "Verdict"}:
        from vestige import results

        return getattr(results, name)
    if name == "VestigeError":
        from vestige.errors import VestigeError

        return VestigeError
    raise AttributeError(f"module 'vestige' has no attribute {name!r}")
