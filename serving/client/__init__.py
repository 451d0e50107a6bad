"""A client for gRPC and REST, for Python and the command line."""
