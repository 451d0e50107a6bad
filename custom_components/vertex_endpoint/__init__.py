"""Deploys the pushed model to an endpoint of Vertex AI."""
