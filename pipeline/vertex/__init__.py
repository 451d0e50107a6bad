"""The pipeline on Vertex AI: compiled, checked here, and submitted."""
