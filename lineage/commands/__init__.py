"""The command line ``python -m lineage``: commands, and functions that print results."""
