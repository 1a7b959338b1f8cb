"""The metadata-and-size-only control: what the classes give away without a look at the picture.

A benchmark on which this control beats chance measures file formats, not detectors.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from vestige.data.manifest import Row
from vestige.errors import DataError, ImageError
from vestige.images import decode
from vestige.results import Facts

NAME = "metadata and size only"
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "HEIF")


def features(facts: Facts) -> list[float]:
    """Format, size, shape, JPEG settings and presence of metadata as numbers."""
    width, height, jpeg = facts.width, facts.height, facts.jpeg
    return [
        *(float(facts.format == name) for name in FORMATS),
        np.log(width),
        np.log(height),
        np.log(width / height),
        float(width == height),
        float(width % 64 == 0 and height % 64 == 0),
        float(jpeg.quality or 0) if jpeg else 100.0,
        float(jpeg.subsampling == "4:2:0") if jpeg else 0.0,
        float(jpeg.progressive) if jpeg else 0.0,
        float(facts.has_exif),
        float(facts.has_xmp),
        float(facts.has_iptc),
        float(facts.has_icc),
        float(facts.has_c2pa),
    ]


def score_control(train: list[Row], test: list[Row], seed: int = 0) -> Iterator[dict[str, object]]:
    """Fit on the facts of the training files, score the test files; rows as in `vestige.evaluation.scores`.

    Raises:
        DataError: a picture cannot be read.
    """
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, class_weight="balanced"))
    model.fit(_table(train), [row.label for row in train])
    table = _table(test)
    for row, logit, probability in zip(
        test, model.decision_function(table), model.predict_proba(table)[:, 1], strict=True
    ):
        yield {
            "model": NAME,
            "path": row.name,
            "label": row.label,
            "group": row.group,
            "kind": "control",
            "logit": f"{logit:.6f}",
            "probability": f"{probability:.6f}",
            "verdict": "",
            "spread": "",
            "error_code": "",
        }


def _table(rows: list[Row]) -> npt.NDArray[np.float64]:
    table = []
    for row in rows:
        try:
            table.append(features(decode(row.path).facts))
        except ImageError as error:
            raise DataError(f"{row.path}: {error.reason}") from error
    return np.array(table)
