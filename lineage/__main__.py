"""``python -m lineage``; see its ``--help``."""

from lineage.cli import main

main(prog_name="lineage")
