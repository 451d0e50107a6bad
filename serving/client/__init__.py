"""A command-line client for both protocols: ``python -m serving.client``."""
