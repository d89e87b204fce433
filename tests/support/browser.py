"""Debian's chromium, driven by selenium: no screen, no card, no network."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

_SECONDS = 60


class Browser:
    """One browser for many pages."""

    def __init__(self) -> None:
        options = webdriver.ChromeOptions()
        for one in (
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ):
            options.add_argument(one)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        assert CHROMIUM is not None
        assert DRIVER is not None
        options.binary_location = CHROMIUM
        self.driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
        self.driver.set_script_timeout(_SECONDS)
        self.resize(1440, 1000)

    def resize(self, width: int, height: int) -> None:
        """The size of the window, in pixels."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def open(self, target: Path | str, **wanted: str) -> None:
        """Opens a page and waits until it is ready."""
        address = target if isinstance(target, str) else target.as_uri()
        # Another fragment alone would not load the page anew.
        self.driver.get("about:blank")
        self._log("browser")
        self._log("performance")
        self.driver.get(address + "#" + "&".join(f"{key}={value}" for key, value in wanted.items()))
        self.wait("document.body.dataset.ready == 'yes'")

    def wait(self, condition: str) -> None:
        """Waits until an expression is true."""
        end = time.monotonic() + _SECONDS
        while not self.run(f"return Boolean({condition})"):
            assert time.monotonic() < end, (condition, self.errors())
            time.sleep(0.02)

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script returns."""
        return self.driver.execute_script(script, *arguments)

    def _log(self, name: str) -> list[dict[str, Any]]:
        """What was logged since it was last asked for."""
        found: list[dict[str, Any]] = self.driver.get_log(name)  # type: ignore[no-untyped-call]
        return found

    def errors(self) -> list[str]:
        """What the page complained about since it was opened."""
        return [one["message"] for one in self._log("browser") if one["level"] in ("SEVERE", "WARNING")]

    def requests(self) -> list[str]:
        """Addresses that were asked since the page was opened."""
        found = []
        for entry in self._log("performance"):
            if '"Network.requestWillBeSent"' in entry["message"]:
                address = entry["message"].split('"request":', 1)[1].split('"url":"', 1)[1].split('"', 1)[0]
                if not address.startswith(("data:", "blob:", "about:")):
                    found.append(address)
        return found

    def point(self, element: str, x: float, y: float) -> str:
        """Moves the pointer to a place of an element, in pixels from its corner; what the box then says."""
        target = self.driver.find_element("id", element)
        size = target.size
        ActionChains(self.driver, duration=0).move_to_element_with_offset(
            target, int(x - size["width"] / 2), int(y - size["height"] / 2)
        ).perform()
        return str(self.run("const box = document.getElementById('hover'); return box.hidden ? '' : box.textContent"))

    def close(self) -> None:
        """Ends the browser."""
        self.driver.quit()
