"""The embedded server compared with calls in process and a FastAPI app."""
