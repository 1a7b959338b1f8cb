"""The faces of Vestige: command line, and later server and bulk scoring."""
