"""Models and their versions: configuration, loading and unloading, batching."""
