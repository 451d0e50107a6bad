"""The embedded server compared with in-process calls and a FastAPI app."""
