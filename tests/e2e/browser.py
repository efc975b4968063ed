"""What the tests of pages share: Debian's Chromium, what it complains of, and pictures."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import ConsoleMessage, Page, Response, expect, sync_playwright

from mlops_toolchain import host_packages
from mlops_toolchain.artefacts import TEST_PACKAGES

LOAD_MILLISECONDS = 30_000
expect.set_options(timeout=LOAD_MILLISECONDS)
CHECK_MARK = "path[d^='M12 2C6.48 2 2 6.48']"
"""Kubeflow's sign of what has ended well, which has no name, only its outline."""
# Answers that upstream's pages expect: 404, by address.
_HARMLESS = re.compile(
    # MLflow's page asks who has signed in. Nobody has: it runs without accounts of its own.
    r"/ajax-api/2\.0/mlflow/users/current$"
    # It asks whether the name of a new experiment is free.
    r"|/ajax-api/2\.0/mlflow/experiments/get-by-name\?"
)


@contextmanager
def new_page() -> Iterator[Page]:
    """Open a page in Chromium, installed where it is missing."""
    if os.geteuid() == 0:
        host_packages.ensure(TEST_PACKAGES)
    chromium = shutil.which("chromium")
    assert chromium, "Debian's chromium is not installed; run this as root, which installs it"
    with sync_playwright() as playwright:
        # Its sandbox refuses to run as root; the page is our own.
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(LOAD_MILLISECONDS)
        yield page
        browser.close()


@contextmanager
def complaints(page: Page) -> Iterator[list[str]]:
    """Collect refused and failed answers, and the console's errors, while the block runs."""
    found: list[str] = []

    def answered(response: Response) -> None:
        expected = response.status == 404 and _HARMLESS.search(response.url)
        if response.status >= 400 and not expected:
            found.append(f"{response.status} {response.request.method} {response.url}")

    def said(message: ConsoleMessage) -> None:
        where = str(message.location.get("url", ""))
        if message.type == "error" and not _HARMLESS.search(where):
            found.append(f"console: {message.text} ({where})")

    def raised(error: Exception) -> None:
        found.append(f"uncaught: {error}")

    page.on("response", answered)
    page.on("console", said)
    page.on("pageerror", raised)
    try:
        yield found
    finally:
        page.remove_listener("response", answered)
        page.remove_listener("console", said)
        page.remove_listener("pageerror", raised)


def keep(page: Page, name: str) -> None:
    """Keep a picture of the page in the folder that MLOPS_SCREENSHOTS names."""
    if folder := os.environ.get("MLOPS_SCREENSHOTS"):
        page.wait_for_timeout(1500)  # charts and panels move into place
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder, f"{name}.png"))
