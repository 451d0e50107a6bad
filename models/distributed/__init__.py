"""Training in several processes: strategies, tasks, and worker processes on this machine."""
