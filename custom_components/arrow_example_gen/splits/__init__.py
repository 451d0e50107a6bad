"""The ways to split a table: by a hash, by time, by a column that names the splits, and by a table for testing."""
