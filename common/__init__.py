"""Helpers that depend on neither TFX nor a model."""
