"""Helpers that know nothing of TFX or of a model."""
