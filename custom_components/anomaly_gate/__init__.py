"""Stops a run whose data does not meet the curated schema."""
