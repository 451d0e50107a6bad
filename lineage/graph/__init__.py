"""ML Metadata's executions, artifacts and events as a graph."""
