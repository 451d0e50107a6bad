"""Executors that run their work in a custom job of Vertex AI."""
