"""Beam on Flink: the runner, the job server and its jar, and a local cluster."""
