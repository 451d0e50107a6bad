"""Google Cloud's API, and a local stand-in for it. It imports nothing of this project but :mod:`common`."""
