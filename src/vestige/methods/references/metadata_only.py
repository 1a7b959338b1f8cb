"""Facts of the file alone and logistic regression: format, size, JPEG settings, presence of metadata.

The control of every benchmark: it never looks at the picture, so where it beats chance the files give the
classes away and figures of other detectors are in doubt.
"""

from pathlib import Path

from torch import nn

from vestige.images.file_facts import NAMES
from vestige.methods.base import Method
from vestige.methods.references.probe import LinearProbe, NoOptions


def build(config: NoOptions, weights: Path | None) -> LinearProbe:
    """The network, untrained; it takes facts, float32 [B, len(NAMES)], in place of images."""
    return LinearProbe(nn.Identity(), len(NAMES))


METHOD = Method(
    name="metadata-only",
    paper="none; the control that Grommelt et al., Fake or JPEG? (2024), and many others ask for",
    config=NoOptions,
    build=build,
    solver="logistic",
    looks_at="facts",
)
