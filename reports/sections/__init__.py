"""Sections of a run's page, one module each: its content, how it is read, and its charts."""
