"""Records the curated schema in ML Metadata."""
