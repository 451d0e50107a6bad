"""The results of a run: its folder, summary, report page and console output."""
