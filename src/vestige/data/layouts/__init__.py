"""Readers for published data-set layouts: a folder or a file in, labelled entries out."""

from vestige.data.layouts.found import Entry, Found
from vestige.data.layouts.read import candidates, read

__all__ = ["Entry", "Found", "candidates", "read"]
