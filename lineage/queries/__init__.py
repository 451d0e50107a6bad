"""The questions to ML Metadata, answered as records."""
