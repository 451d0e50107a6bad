"""Handles requests independently of the protocol: runs the model, counts and logs."""
