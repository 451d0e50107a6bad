"""What a run and a push record of themselves."""
