"""Headless Chromium from the PATH, or from Debian's packages without root."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import apt_packages
import pytest
from playwright.sync_api import Browser, sync_playwright

FETCHED = Path(__file__).resolve().parents[2] / ".cache/chromium"
PACKAGE = "chromium-headless-shell"
NAMES = (PACKAGE, "chromium", "chromium-browser", "google-chrome")


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Starts the browser, or skips the test if there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    environment: dict[str, str | float | bool] = dict(os.environ)
    if found is None:
        if not apt_packages.is_possible() and not FETCHED.is_dir():
            pytest.skip("no Chromium on the PATH, and no apt-get and dpkg-deb to install it")
        apt_packages.fetch([PACKAGE], FETCHED)
        found = str(FETCHED / "usr/lib/chromium/chromium-headless-shell")
        # Some of Debian's libraries are in separate folders.
        folders = {path.parent for path in FETCHED.glob("usr/lib/**/*.so*")}
        environment["LD_LIBRARY_PATH"] = ":".join(sorted(map(str, folders)))
    with sync_playwright() as driver:
        # The sandbox needs namespaces that containers often lack, and the pages are our own.
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"], env=environment)
        try:
            yield browser
        finally:
            browser.close()
