"""Checks before the first node runs: schema, network, table, ML Metadata and Flink."""
