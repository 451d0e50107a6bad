"""The file formats of a table, with one module per format."""
