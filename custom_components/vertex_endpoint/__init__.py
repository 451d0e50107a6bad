"""Deploys what was pushed to an endpoint of Vertex AI."""
