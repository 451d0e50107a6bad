"""Exports the pipeline's model to TFLite, raw features in, on builtin operators alone."""
