"""Converts JSON bodies of the REST API to tensors and back."""
