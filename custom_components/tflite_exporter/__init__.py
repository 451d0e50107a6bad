"""Exports the model to TFLite, with raw features as inputs and builtin operators only."""
