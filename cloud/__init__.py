"""Google Cloud's API, and a local stand-in for it. Of the project, it imports only :mod:`common`."""
