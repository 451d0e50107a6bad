"""What is chosen for a table."""
