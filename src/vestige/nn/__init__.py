"""Building blocks shared by methods. Needs the `train` extra."""
