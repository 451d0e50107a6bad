"""The files of a table, and what all their rows have."""
