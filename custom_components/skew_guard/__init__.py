"""Proves on every run that what is served is what was trained."""
