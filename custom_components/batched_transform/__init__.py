"""Transform that reads and writes whole batches."""
