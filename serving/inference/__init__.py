"""What a request does, whatever the protocol: find the version, run the model, count, log."""
