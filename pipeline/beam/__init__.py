"""Where Beam runs: this machine, Dataflow, Flink."""
