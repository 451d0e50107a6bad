"""Entry point of the client: ``python -m serving.client``."""

from serving.client.cli import cli

cli(prog_name="python -m serving.client")
