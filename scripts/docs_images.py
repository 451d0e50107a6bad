"""Make the pictures in the README: run the example, render its console output, and photograph its report."""

import argparse
import io
import os
import re
import subprocess
import sys
from pathlib import Path

from chromium import chromium
from PIL import Image
from playwright.sync_api import Page
from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
COLUMNS = 104
SHOWN = "output/taxi"  # in place of the output folder
CURSOR = re.compile(r"\x1b\[\?25[lh]\n?")
# Anchors of the report's sections that are shown, by column. The empty one is the top of the page.
SECTIONS = (("", "training"), ("decision", "plots"))
PAGE_WIDTH, IMAGE_WIDTH, COLORS = 1000, 1500, 128
TOP_AND_BOTTOM = """anchor => {
    const headings = [...document.querySelectorAll('h2[id]')];
    const tops = headings.map(heading => heading.getBoundingClientRect().top + scrollY);
    const at = headings.findIndex(heading => heading.id == anchor);
    return [at < 0 ? 0 : tops[at], tops[at + 1]];
}"""

REPLACE_IN_HEADER = """([old, shown]) => {
    const header = document.querySelector('header');
    header.innerHTML = header.innerHTML.replaceAll(old, shown);
}"""


def main() -> None:
    """Runs the example, and writes run.svg and report.png to docs/images."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--output", type=Path, default=Path("output/docs"), help="output folder of the run")
    output: Path = parser.parse_args().output
    images = ROOT / "docs/images"
    images.mkdir(exist_ok=True)
    svg = render(run(output), "make run")
    (images / "run.svg").write_text(svg)
    photograph(output).save(images / "report.png", optimize=True)
    for path in sorted(images.iterdir()):
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


def run(output: Path) -> str:
    """Runs the example and returns its console output with colors."""
    command = [sys.executable, "local_runner.py", f"--output={output}"]
    environment = {**os.environ, "FORCE_COLOR": "1", "TTY_INTERACTIVE": "0", "COLUMNS": str(COLUMNS)}
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment, check=True)
    return CURSOR.sub("", result.stdout).replace(str(output), SHOWN)


def render(text: str, title: str) -> str:
    """Renders console output as SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(text.rstrip()))
    return console.export_svg(title=title)


def photograph(output: Path) -> Image.Image:
    """Returns some sections of the latest report next to each other."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": PAGE_WIDTH, "height": PAGE_WIDTH}, color_scheme="light")
        page.goto((output / "runs/latest/report.html").resolve().as_uri())
        page.evaluate(REPLACE_IN_HEADER, [str(output.resolve()), SHOWN])
        columns = [[section(page, anchor) for anchor in anchors] for anchors in SECTIONS]
    height = max(sum(image.height for image in column) for column in columns)
    collage = Image.new("RGB", (PAGE_WIDTH * len(columns), height), "white")
    for index, column in enumerate(columns):
        top = 0
        for image in column:
            collage.paste(image, (index * PAGE_WIDTH, top))
            top += image.height
    scaled = collage.resize((IMAGE_WIDTH, round(height * IMAGE_WIDTH / collage.width)), Image.Resampling.LANCZOS)
    return scaled.quantize(COLORS)


def section(page: Page, anchor: str) -> Image.Image:
    """Photographs a section of the report, from its heading to the next."""
    top, bottom = page.evaluate(TOP_AND_BOTTOM, anchor)
    clip = {"x": 0, "y": top, "width": PAGE_WIDTH, "height": bottom - top}
    return Image.open(io.BytesIO(page.screenshot(full_page=True, clip=clip)))  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
