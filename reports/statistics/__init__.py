"""Distributions, confidence intervals and curves."""
