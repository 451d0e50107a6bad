"""Access to ML Metadata's store: its location, the connection, and a reader that returns records."""
