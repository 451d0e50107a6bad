"""Renders the templates. Everything that comes from data is escaped."""

import base64
import functools
import hashlib
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from reports.drawing.svg import CONTROL
from reports.statistics.distributions import SHOWN_STRINGS, NumericValues, StringValues, histogram

TEMPLATES = Path(__file__).parent / "templates"
SCRIPT = "page.js"
# Shown where there is no value.
NO_VALUE = "\N{EN DASH}"


def render(template: str, **values: Any) -> str:
    """Renders a template."""
    return _environment().get_template(template).render(**values)


def write_atomically(path: Path, text: str) -> None:
    """Writes a file so that a reader sees either the old or the new content."""
    partial = path.with_name(f".{path.name}")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def number(value: Any) -> str:
    """Formats a number with five significant digits and thousands separators. Returns anything else unchanged.

    >>> number(1234567), number(0.123456), number(0.00001), number("text")
    ('1,234,567', '0.12346', '1.00e-05', 'text')
    """
    if value is None:
        return NO_VALUE
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if not math.isfinite(value):
        return "not defined"
    if value == int(value) or abs(value) >= 1e5:
        return f"{value:,.0f}" if abs(value) < 1e15 else f"{value:.2e}"
    if abs(value) < 1e-4:
        return f"{value:.2e}"
    before = max(math.floor(math.log10(abs(value))) + 1, -2)
    return f"{value:,.{5 - before}f}".rstrip("0").rstrip(".")


def metric(value: float | None) -> str:
    """Formats a number for a column of metrics, with four decimals if that is enough.

    >>> metric(0.75), metric(0.0001), metric(1234.5)
    ('0.7500', '0.0001', '1,234.5')
    """
    if value is None or not math.isfinite(value) or 0 < abs(value) < 1e-3 or abs(value) >= 100:
        return number(value)
    return f"{value:,.4f}"


def size(value: int | None) -> str:
    """Formats a number of bytes.

    >>> size(4321)
    '4.32 kB'
    """
    if value is None:
        return NO_VALUE
    power = min(int(math.log10(max(value, 1)) / 3), 3)
    return f"{value / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB')[power]}"


def seconds(value: float | None) -> str:
    """Formats a duration.

    >>> seconds(1.25), seconds(125)
    ('1.2 s', '2 min 5 s')
    """
    if value is None:
        return NO_VALUE
    return f"{value:.1f} s" if value < 120 else f"{int(value // 60)} min {value % 60:.0f} s"


def percent(value: float | None) -> str:
    """Formats a fraction as a percentage. A tiny fraction is not shown as zero.

    >>> percent(0.125), percent(0.00001), percent(0.99999)
    ('12.5%', '< 0.1%', '> 99.9%')
    """
    if value is None:
        return NO_VALUE
    if 0 < value < 0.001:
        return "< 0.1%"
    if 0.999 < value < 1:
        return "> 99.9%"
    return f"{100 * value:.1f}%"


def outline(fractions: Sequence[float], top: float, width: float, height: float) -> str:
    """Returns the outline of a histogram as SVG path data, from the lower left to the lower right."""
    if not fractions or top <= 0:
        return ""
    step = width / len(fractions)
    parts = [f"M0 {height:g}"]
    for place, value in enumerate(fractions):
        y = height * (1 - value / top)
        parts.append(f"V{y:.1f}H{(place + 1) * step:.1f}")
    return "".join(parts) + f"V{height:g}"


def most_frequent(first: StringValues | None, second: StringValues | None) -> list[tuple[str, float, float]]:
    """Returns the most frequent strings of two splits, with the fraction of each in both."""
    one, other = (each.fractions if each else {} for each in (first, second))
    every = sorted({*one, *other}, key=lambda each: (-max(one.get(each, 0.0), other.get(each, 0.0)), each))
    return [(each, one.get(each, 0.0), other.get(each, 0.0)) for each in every[:SHOWN_STRINGS]]


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters |= {"number": number, "metric": metric, "size": size, "seconds": seconds, "percent": percent}
    environment.tests["numeric"] = lambda values: isinstance(values, NumericValues)
    script = (TEMPLATES / SCRIPT).read_text(encoding="utf-8").strip()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment.globals |= {
        "histogram": histogram,
        "outline": outline,
        "most_frequent": most_frequent,
        "script": Markup(script),  # noqa: S704 - our own file
        "script_digest": digest,
    }
    return environment


def _shown(value: Any) -> Any:
    """Replaces characters that a page cannot hold."""
    return CONTROL.sub("\ufffd", value) if isinstance(value, str) and not isinstance(value, Markup) else value
