"""Benchmark of the lineage queries: a large store compared with a small one."""
