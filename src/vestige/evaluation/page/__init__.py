"""The benchmark as one HTML file that opens from disk and asks the network for nothing."""

from vestige.evaluation.page.parts import Figure, Gallery, Part, Section, Tile
from vestige.evaluation.page.write import write_page

__all__ = ["Figure", "Gallery", "Part", "Section", "Tile", "write_page"]
