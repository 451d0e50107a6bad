"""What a run leaves behind: its folder, summary and page, and what the console shows."""
