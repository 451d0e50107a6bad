"""The command line: ``python -m lineage``."""
