"""A headless Chromium without network traffic of its own, for tests and timings of pages."""

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-dev-shm-usage", "--disable-background-networking", "--disable-sync"),
    *("--disable-component-update", "--window-size=1280,900"),
)


def missing() -> str:
    """What is missing to start a browser, with the command that installs it; "" for nothing."""
    for command in ("chromium", "chromedriver"):
        if shutil.which(command) is None:
            return f"no {command} here: apt-get install -y chromium chromium-driver"
    try:
        import selenium  # noqa: F401
    except ModuleNotFoundError:
        return "no selenium here: pip install '.[dev]'"
    return ""


@contextlib.contextmanager
def started() -> Iterator[Any]:
    """A browser with an empty profile that logs its console and every request."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            # Chromium begins with its new tab page, whose requests would be counted as the tests'.
            driver.get("about:blank")
            yield driver
        finally:
            driver.quit()


def load(driver: Any, address: str) -> None:
    """Loads a page and waits until it is whole: `get` may return while the old page is shown."""
    from selenium.webdriver.support.wait import WebDriverWait

    # Without a page in between, an address that differs in its fragment alone loads nothing.
    driver.get("about:blank")
    driver.get(address)
    complete = "return location.href === arguments[0] && document.readyState === 'complete'"
    WebDriverWait(driver, 10, poll_frequency=0.02).until(
        lambda waiting: waiting.execute_script(complete, address)
    )


def requested(driver: Any) -> list[str]:
    """Addresses that the browser has requested since the last call."""
    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [
        str(message["params"]["request"]["url"])
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
