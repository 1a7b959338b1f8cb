"""Manifests, augmentation and data sets for training. Needs the `train` extra."""
