"""Drafts the settings and the schema of a table that nobody has described yet."""
