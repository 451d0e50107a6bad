"""Beam's steps on a Flink cluster: its jar, the job server, the runner, and a cluster on this machine."""
