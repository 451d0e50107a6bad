"""What operators control: encryption, tokens, a limit of calls, and the access log."""
