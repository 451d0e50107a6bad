"""HTML pages of runs: one page per run, and an index of all runs of an output folder."""
