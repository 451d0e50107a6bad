"""The embedded server compared with in-process calls and other servers."""
