"""Executors whose work a custom job of Vertex AI does."""
