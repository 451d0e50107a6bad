"""One page a run, and one over all runs: what ML Metadata, the artifacts and ``summary.json`` tell, in HTML."""
