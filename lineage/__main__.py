"""Entry point of ``python -m lineage``."""

from lineage.commands.cli import main

main(prog_name="python -m lineage")
