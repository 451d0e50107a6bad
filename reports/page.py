"""The page of one run: reads all sections, draws them, and writes one HTML file."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from artifacts.files import UNREADABLE
from lineage.store.reader import MetadataReader
from reports.rendering import render, write_atomically
from reports.section import Section
from reports.sections import (
    ablation,
    anomalies,
    data,
    decision,
    device,
    lineage,
    metrics,
    pipeline,
    plots,
    settings,
    skew,
    training,
    trials,
)
from reports.sections.header import read_header
from reports.source import MissingError, Source, read_source

PAGE = "report.html"
# In the order of the page.
SECTIONS: tuple[Section[Any], ...] = (
    pipeline.SECTION,
    data.SECTION,
    anomalies.SECTION,
    training.SECTION,
    trials.SECTION,
    decision.SECTION,
    metrics.SECTION,
    plots.SECTION,
    skew.SECTION,
    device.SECTION,
    settings.SECTION,
    lineage.SECTION,
)
# Of the page of an ablation, which has no nodes after Transform and the Tuner.
ABLATION_SECTIONS: tuple[Section[Any], ...] = (
    ablation.SECTION,
    pipeline.SECTION,
    data.SECTION,
    anomalies.SECTION,
    trials.SECTION,
    settings.SECTION,
    lineage.SECTION,
)


class RenderedSection(NamedTuple):
    """A section in HTML.

    Attributes:
        section: The section.
        body: Its HTML below the heading, or ``None`` if there is nothing to show.
        reason: Why there is nothing to show.
    """

    section: Section[Any]
    body: Markup | None
    reason: str = ""


def write_page(reader: MetadataReader, output: Path, run: str) -> Path:
    """Writes ``runs/<run id>/report.html``.

    Args:
        reader: ML Metadata.
        output: The output folder.
        run: A name of the run, as in :func:`lineage.queries.find_run.find_run`.

    Returns:
        The page.

    Raises:
        lineage.errors.LineageError: There is no such run.
    """
    source = read_source(reader, output, run)
    path = source.folder / PAGE
    path.parent.mkdir(parents=True, exist_ok=True)
    is_ablation = any(step.name == "Ablation" for step in source.steps)
    sections = [render_section(section, source) for section in (ABLATION_SECTIONS if is_ablation else SECTIONS)]
    write_atomically(path, render("run.html", header=read_header(source), sections=sections))
    return path


def render_section(section: Section[Any], source: Source) -> RenderedSection:
    """Reads and renders one section. A section that cannot be read says why and does not affect the others."""
    try:
        content = section.read(source)
        charts = section.draw(content)
        body = render(f"sections/{section.name}.html", content=content, charts=charts, source=source)
    except MissingError as error:
        return RenderedSection(section, None, str(error))
    except (*UNREADABLE, KeyError, TypeError, IndexError, jinja2.TemplateError) as error:
        logging.exception("The section %s was left out.", section.name)
        return RenderedSection(section, None, f"its files cannot be read: {_one_line(error)}")
    return RenderedSection(section, Markup(body))  # noqa: S704 - the template escaped it


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
