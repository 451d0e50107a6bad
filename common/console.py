"""Rich's console, for names and values that come from data."""

from collections.abc import Iterable
from typing import IO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from common.terminal import TolerantFile, printable


class DataConsole(Console):
    """A console that shows control characters of the text instead of sending them to the terminal."""

    def __init__(self, file: IO[str] | None = None, *, tolerant: bool = False) -> None:
        """Creates a console for plain lines and tables.

        Args:
            file: Where to print, by default to standard output.
            tolerant: Whether to go on silently if the file cannot be written.
        """
        target = cast("IO[str]", TolerantFile(file)) if file and tolerant else file
        super().__init__(file=target, highlight=False, soft_wrap=True, emoji=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Renders text, in which only Rich's own control codes stay.

        Cells of a table are measured before. Escape them with :func:`common.terminal.printable`, so that they fit.
        """
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)
