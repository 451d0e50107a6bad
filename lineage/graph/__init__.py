"""Graphs of executions, artifacts and events."""
