"""Protocols, metrics and tables. Pictures are scored through `vestige.detector` only."""
