"""The error that ends SkewGuard's checks."""

from artifacts.nodes.skew import Skew


class SkewError(Exception):
    """Serving differs from training.

    Attributes:
        skew: The difference.
    """

    def __init__(self, skew: Skew) -> None:
        super().__init__(str(skew))
        self.skew = skew
