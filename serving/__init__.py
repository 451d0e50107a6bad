"""Serves what was pushed; knows saved models and nothing of TFX."""
