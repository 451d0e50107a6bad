"""Entry point of the client: ``python -m serving.client``."""

from common.terminal import run_command
from serving.client.cli import cli

run_command(lambda: cli(prog_name="python -m serving.client"))
