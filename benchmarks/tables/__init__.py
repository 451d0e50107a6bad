"""Drafts settings for public tables, runs the pipeline on them without an edit, and compares with trivial models."""
