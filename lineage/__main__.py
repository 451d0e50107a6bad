"""Entry point of ``python -m lineage``."""

from common.terminal import run_command
from lineage.commands.cli import main

run_command(lambda: main(prog_name="python -m lineage"))
