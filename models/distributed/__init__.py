"""Training in several processes: strategies, tasks, and the processes on this machine."""
