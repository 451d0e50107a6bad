"""The pipeline: settings, checks, the DAG, and what runs it locally and on Vertex AI."""
