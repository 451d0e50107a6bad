"""Fills the templates; everything that comes from data is escaped."""

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
from reports.statistics.distributions import SHOWN_TEXTS, Numbers, Texts, histogram

TEMPLATES = Path(__file__).parent / "templates"
SCRIPT = "page.js"
# Stands where there is no number.
NOTHING = "\N{EN DASH}"


def render(template: str, **values: Any) -> str:
    """The page of a template."""
    return _environment().get_template(template).render(**values)


def write_whole(path: Path, text: str) -> None:
    """Writes a file so that a reader sees all of it or what was there before."""
    partial = path.with_name(f".{path.name}")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def number(value: Any) -> str:
    """A number for people: five digits that count, thousands apart; anything else as it is."""
    if value is None:
        return NOTHING
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
    """A number that stands below others: four digits of a fraction, where that is enough."""
    if value is None or not math.isfinite(value) or 0 < abs(value) < 1e-3 or abs(value) >= 100:
        return number(value)
    return f"{value:,.4f}"


def size(value: int | None) -> str:
    """A number of bytes for people."""
    if value is None:
        return NOTHING
    power = min(int(math.log10(max(value, 1)) / 3), 3)
    return f"{value / 1000**power:.3g} {('bytes', 'kB', 'MB', 'GB')[power]}"


def seconds(value: float | None) -> str:
    """A time for people."""
    if value is None:
        return NOTHING
    return f"{value:.1f} s" if value < 120 else f"{int(value // 60)} min {value % 60:.0f} s"


def share(value: float | None) -> str:
    """A share for people; one that is hardly there is not shown as none."""
    if value is None:
        return NOTHING
    if 0 < value < 0.001:
        return "< 0.1 %"
    if 0.999 < value < 1:
        return "> 99.9 %"
    return f"{100 * value:.1f} %"


def steps(shares: Sequence[float], top: float, width: float, height: float) -> str:
    """The outline of a histogram, as the ``d`` of a path from the lower left to the lower right."""
    if not shares or top <= 0:
        return ""
    step = width / len(shares)
    parts = [f"M0 {height:g}"]
    for place, value in enumerate(shares):
        y = height * (1 - value / top)
        parts.append(f"V{y:.1f}H{(place + 1) * step:.1f}")
    return "".join(parts) + f"V{height:g}"


def frequent(first: Texts | None, second: Texts | None) -> list[tuple[str, float, float]]:
    """The most frequent texts of two splits, with the share that each has in both."""
    one, other = (each.shares if each else {} for each in (first, second))
    every = sorted({*one, *other}, key=lambda each: (-max(one.get(each, 0.0), other.get(each, 0.0)), each))
    return [(each, one.get(each, 0.0), other.get(each, 0.0)) for each in every[:SHOWN_TEXTS]]


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
    environment.filters |= {"number": number, "metric": metric, "size": size, "seconds": seconds, "share": share}
    environment.tests |= {
        "missing": lambda section: hasattr(section, "why"),
        "numbers": lambda values: isinstance(values, Numbers),
        "texts": lambda values: isinstance(values, Texts),
    }
    script = (TEMPLATES / SCRIPT).read_text(encoding="utf-8").strip()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment.globals |= {
        "histogram": histogram,
        "steps": steps,
        "frequent": frequent,
        "script": Markup(script),  # noqa: S704 - a file of our own
        "script_digest": digest,
    }
    return environment


def _shown(value: Any) -> Any:
    """Texts without what no page has a place for."""
    return CONTROL.sub("\ufffd", value) if isinstance(value, str) and not isinstance(value, Markup) else value
