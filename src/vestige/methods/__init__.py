"""One folder per published method. Needs the `train` extra."""
