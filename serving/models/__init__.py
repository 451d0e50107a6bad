"""The models that are loaded: which versions there are, loading, unloading, batching."""
