"""What each node writes, read into records: one module per kind of content."""
