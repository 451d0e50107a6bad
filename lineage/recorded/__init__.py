"""Records that each run and each push leaves about its origin."""
