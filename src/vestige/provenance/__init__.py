"""What a file claims of itself: camera, software, generator, prompt, source type, author, times."""

from vestige.provenance.claims import read_claims

__all__ = ["read_claims"]
