"""Notebooks as files and as running kernels, for lessons and pages alike."""
