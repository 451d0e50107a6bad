"""Checks in every run that a model serves what it was trained on."""
