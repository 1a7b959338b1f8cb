"""Small detectors to compare with, one file each."""
