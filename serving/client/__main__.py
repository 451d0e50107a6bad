"""``python -m serving.client``; see its ``--help``."""

from serving.client.cli import cli

cli(prog_name="python -m serving.client")
