"""Puts the curated schema into ML Metadata."""
