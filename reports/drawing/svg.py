"""Embeds Matplotlib's figures in a page: with unique ids, the page's font and its light or dark colors."""

import io
import re
import xml.etree.ElementTree as ET

from markupsafe import Markup
from matplotlib.figure import Figure

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
# Placeholders for the page's colors, which templates/page.css defines by these names. Matplotlib accepts no names.
COLORS = {
    "ink": "#010203",
    "muted": "#010204",
    "line": "#010205",
    "first": "#010206",
    "second": "#010207",
    "good": "#010208",
    "bad": "#010209",
}
# Characters that XML 1.0 does not allow.
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

ET.register_namespace("", SVG)


def to_markup(figure: Figure, name: str, description: str) -> Markup:
    """Returns the figure as an ``<svg>`` element.

    Args:
        figure: The figure.
        name: A name that is unique on the page, the prefix of ids in the figure.
        description: The text for screen readers.
    """
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    root = ET.fromstring(file.getvalue())  # noqa: S314
    for child in list(root):
        if child.tag == f"{{{SVG}}}metadata":
            root.remove(child)
    ids = {each.attrib["id"] for each in root.iter() if "id" in each.attrib}
    used = {found for each in root.iter() for found in _references(each)} & ids
    for each in root.iter():
        _adapt(each, name, used)
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    root.attrib |= {"role": "img", "aria-label": CONTROL.sub("", description), "class": "chart"}
    width = float(root.attrib["viewBox"].split()[2])
    root.attrib["style"] = f"max-width: {width * 96 / 72:.0f}px"
    return Markup(ET.tostring(root, encoding="unicode"))  # noqa: S704 - Matplotlib and ElementTree escape text


def shorten(text: str, max_length: int = 40) -> str:
    """Returns text from the data in one line of limited length, without control characters."""
    line = CONTROL.sub("", " ".join(text.split()))
    return line if len(line) <= max_length else line[: max_length - 1] + "…"


def _references(element: ET.Element) -> list[str]:
    texts = [value for key, value in element.attrib.items() if key != "id"]
    return [found for text in texts for found in re.findall(r"#([\w.-]+)", text)]


def _adapt(element: ET.Element, name: str, used: set[str]) -> None:
    """Renames ids that are referred to, removes the others, and leaves colors and font to the page."""
    attributes = element.attrib
    if attributes.get("id") in used:
        attributes["id"] = f"{name}-{attributes['id']}"
    else:
        attributes.pop("id", None)
    # HTML needs no namespace for links inside a figure.
    if link := attributes.pop(f"{{{XLINK}}}href", None):
        attributes["href"] = f"#{name}-{link.removeprefix('#')}"
    if "clip-path" in attributes:
        attributes["clip-path"] = attributes["clip-path"].replace("#", f"#{name}-")
    if "style" in attributes:
        style = re.sub(r"font-family:[^;]*;?", "", attributes["style"])
        for word, number in COLORS.items():
            style = style.replace(number, f"var(--{word})")
        attributes["style"] = style
    if element.tag == f"{{{SVG}}}style":
        element.text = None
