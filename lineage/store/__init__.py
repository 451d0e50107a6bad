"""The connection to ML Metadata, on SQLite, MySQL or PostgreSQL."""
