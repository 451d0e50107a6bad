"""Beam runners: this machine, Dataflow and Flink."""
