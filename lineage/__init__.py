"""Lineage of models: the questions to ML Metadata, and what each run and each push records there."""
