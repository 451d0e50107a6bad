"""``python local_runner.py ablate``: what each column is worth."""
