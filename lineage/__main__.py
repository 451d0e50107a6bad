"""``python -m lineage``; see its ``--help``."""

from lineage.commands.cli import main

main(prog_name="lineage")
