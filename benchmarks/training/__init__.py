"""Compares training with TFX's taxi template, and two workers with one process."""
