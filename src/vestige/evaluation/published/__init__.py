"""Published figures as data, and tables that show ours beside them.

`*.yaml`: one file per paper, numbers as printed; `_benchmarks.yaml` and `_names.yaml` say what is called how.
"""

from vestige.evaluation.published.compare import beside
from vestige.evaluation.published.figures import PublishedFigure, published, published_markdown

__all__ = ["PublishedFigure", "beside", "published", "published_markdown"]
