"""Stops a run if the data does not conform to the curated schema."""
