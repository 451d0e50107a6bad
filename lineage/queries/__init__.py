"""Queries on ML Metadata. They take a reader and return records of :mod:`lineage.queries.results`."""
