"""Compares the models of drafted settings with boosted trees, on the rows of the same splits."""
