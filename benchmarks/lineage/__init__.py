"""Lineage queries on a large store compared with a small one."""
