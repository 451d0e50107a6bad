from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chromium import chromium
from playwright.sync_api import Browser, Page
from whole_run import HOSTILE, RunPages, whole_run

PHONE, DESK = 360, 1200
# Lightness of a colour from 0 to 255, as computed by the browser.
LIGHTNESS = """(element) => {
  const [red, green, blue] = getComputedStyle(element).%s.match(/[0-9.]+/g).map(Number);
  return (red + green + blue) / 3;
}"""
Opener = Callable[..., Page]

pytestmark = pytest.mark.slow


@pytest.fixture(name="pages")
def _pages() -> RunPages:
    return whole_run()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opener]:
    """Opens a page. The test fails if it prints to the console, throws, or requests anything else."""
    noise: list[str] = []

    def open_page(path: Path, width: int = DESK, scheme: str = "light", script: bool = True) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 800},
            color_scheme=scheme,  # type: ignore[arg-type]
            java_script_enabled=script,
        )
        page = context.new_page()
        page.on("console", lambda message: noise.append(message.text))
        page.on("pageerror", lambda error: noise.append(str(error)))
        page.on("dialog", lambda dialog: noise.append(dialog.message))
        page.on("request", lambda request: noise.extend([request.url] * (request.url != path.as_uri())))
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in browser.contexts:
        context.close()
    assert noise == []


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("which", ["page", "index"])
def test_page_is_no_wider_than_the_screen(pages: RunPages, opened: Opener, which: str, width: int) -> None:
    page = opened(getattr(pages, which), width)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator("h1").is_visible()


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_a_click_on_the_graph_shows_the_node(pages: RunPages, opened: Opener, width: int) -> None:
    page = opened(pages.page, width)
    assert page.locator(".detail:visible").count() == 0
    page.click('#lineage-graph .item[aria-label^="Trainer.model:"]')
    shown = page.locator(".detail:visible")
    assert shown.count() == 1
    assert "artifacts/Trainer/model/" in shown.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    near = page.locator("#lineage-graph .item.near").all_text_contents()
    assert sorted(near) == ["Evaluator", "Pusher", "SkewGuard", "TfliteExporter", "Trainer"]
    shown.get_by_role("link", name="SkewGuard").click()
    assert page.locator(".detail:visible h3").inner_text() == "SkewGuard"


def test_the_graph_is_reached_by_keyboard(pages: RunPages, opened: Opener) -> None:
    page = opened(pages.page)
    page.locator('#lineage-graph .item[aria-label="Tuner"]').focus()
    page.keyboard.press("Enter")
    assert page.locator(".detail:visible h3").inner_text() == "Tuner"
    page.locator("#lineage-graph .item").first.focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.matches('#lineage-graph .item:nth-of-type(2)')")


def test_the_graph_works_without_scripts(pages: RunPages, opened: Opener) -> None:
    page = opened(pages.page, script=False)
    page.click('#lineage-graph .item[aria-label="Trainer"]')
    assert page.locator(".detail:visible h3").all_inner_texts() == ["Trainer"]


@pytest.mark.parametrize(("scheme", "paper", "ink"), [("light", (240, 256), (0, 60)), ("dark", (0, 60), (200, 256))])
def test_page_and_charts_follow_light_and_dark(
    pages: RunPages, opened: Opener, scheme: str, paper: tuple[int, int], ink: tuple[int, int]
) -> None:
    page = opened(pages.page, scheme=scheme)
    assert paper[0] <= page.locator("body").evaluate(LIGHTNESS % "backgroundColor") < paper[1]
    assert ink[0] <= page.locator("h2").first.evaluate(LIGHTNESS % "color") < ink[1]
    texts = page.locator(".chart text")
    assert texts.count() > 20
    assert all(ink[0] <= each.evaluate(LIGHTNESS % "fill") < ink[1] for each in texts.all()[::10])


def test_a_dark_screen_prints_black_on_white(pages: RunPages, opened: Opener) -> None:
    paper = 718  # A4 with margins of a centimetre
    page = opened(pages.page, paper, scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") == paper
    assert page.locator("body").evaluate(LIGHTNESS % "backgroundColor") == 255
    assert page.locator(".chart text").first.evaluate(LIGHTNESS % "fill") == 0
    assert not page.locator("nav").is_visible()
    assert len(page.pdf()) > 10_000


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_text_in_charts_is_not_cut_off_and_large_enough(pages: RunPages, opened: Opener, width: int) -> None:
    page = opened(pages.page, width)
    cut = page.locator(".chart").evaluate_all(
        """(charts) => charts.flatMap((chart) => {
          const frame = chart.getBoundingClientRect();
          return [...chart.querySelectorAll("text")].filter((text) => {
            const box = text.getBoundingClientRect();
            return box.left < frame.left - 2 || box.right > frame.right + 2
              || box.top < frame.top - 2 || box.bottom > frame.bottom + 2 || Math.min(box.height, box.width) < 5;
          }).map((text) => text.textContent);
        })"""
    )
    assert cut == []


def test_hostile_names_are_shown_as_text(pages: RunPages, opened: Opener) -> None:
    page = opened(pages.page)
    assert page.evaluate("document.scripts.length") == 1
    assert HOSTILE in page.locator("#data ~ .features").inner_text()
    assert f"fraction of {HOSTILE[:23]}" in " ".join(page.locator(".chart text").all_text_contents())
