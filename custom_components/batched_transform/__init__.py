"""Transform that reads and writes in batches."""
