"""Vertex AI: compile the pipeline, check it on this machine, submit it, and roll the endpoint back."""
