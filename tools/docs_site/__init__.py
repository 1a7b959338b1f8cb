"""Parts of the documentation site that are made of the code's own data, without torch."""
