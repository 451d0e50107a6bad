"""Where a model came from: the read side of ML Metadata, and what a run records of itself there."""
