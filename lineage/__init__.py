"""Lineage of models: queries on ML Metadata, and what each run and each push records there."""
