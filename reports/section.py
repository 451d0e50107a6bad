"""The interface of a section on the page of a run."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from markupsafe import Markup

from reports.source import Source

T = TypeVar("T")


def no_charts(_content: object) -> Sequence[Markup]:
    """Draws nothing."""
    return ()


@dataclasses.dataclass(frozen=True)
class Section(Generic[T]):
    """A section of the page, with its heading and its link in the page's navigation.

    A new section is one module in :mod:`reports.sections` that defines such a record, one template, and one line in
    :data:`reports.page.SECTIONS`.

    Attributes:
        name: Id of the section on the page and name of its template, ``templates/sections/<name>.html``. The template
            gets ``content``, ``charts`` and ``source``.
        title: The heading.
        read: Reads the content. Raises :class:`reports.source.MissingError` if there is nothing to show.
        absent: What the page says in that case, before the reason.
        draw: Draws the charts of the content.
    """

    name: str
    title: str
    read: Callable[[Source], T]
    absent: str
    draw: Callable[[T], Sequence[Markup]] = no_charts
