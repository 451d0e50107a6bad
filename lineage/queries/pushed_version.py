"""Finds the version that a model was pushed as."""

from artifacts.nodes.push import read_push
from lineage.graph.walker import GraphWalker
from lineage.store.reader import MetadataReader

PUSHED_MODEL = "PushedModel"


def last_pushed_version(reader: MetadataReader, model_id: int) -> str | None:
    """Returns the version that a model was last pushed as, or ``None`` if it was never pushed."""
    products = GraphWalker(reader).products(model_id)
    pushes = [read_push(each.properties) for each in products if each.type == PUSHED_MODEL]
    return next((push.version for push in reversed(pushes) if push), None)
