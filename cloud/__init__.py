"""What talks to Google Cloud, and what stands in for it here; it knows nothing of the rest of the project."""
