"""The DAG: settings, components and their wiring, and the local runner."""
