"""A page in a real browser that notes whatever must not happen there."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request

AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
REPORT = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


class Screen:
    """One tab; `faults` are errors of the console, of scripts and of the policy, and requests that leave the site."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.address = address
        self.faults: list[str] = []
        self.page: Page = context.new_page()
        self.page.add_init_script(REPORT)
        self.page.on("console", self._note_console)
        self.page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        self.page.on("dialog", lambda dialog: self.faults.append(f"dialog: {dialog.message}"))
        self.page.on("request", self._note_request)

    def open(self, path: str) -> Page:
        self.page.goto(self.address + path)
        return self.page

    def judged(self, *rules: str) -> list[str]:
        """What axe finds serious on the page that is shown, by some of its rules or by all."""
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE)
        wanted: dict[str, Any] = {"resultTypes": ["violations"]}
        if rules:
            wanted["runOnly"] = {"type": "rule", "values": rules}
        found: list[dict[str, Any]] = self.page.evaluate(
            "(wanted) => axe.run(document, wanted).then((found) => found.violations)", wanted
        )
        return [
            f"{each['id']}: {node['html'][:200]} {node['failureSummary']}"
            for each in found
            if each["impact"] in {"serious", "critical"}
            for node in each["nodes"]
        ]

    def overflow(self) -> int:
        """By how many pixels the page is wider than the screen."""
        wide: int = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        return max(wide, 0)

    def _note_console(self, message: ConsoleMessage) -> None:
        # What the server answers is asked for on purpose where it is no success.
        if message.type == "error" and "the server responded with a status of" not in message.text:
            self.faults.append(f"console: {message.text}")

    def _note_request(self, request: Request) -> None:
        if not request.url.startswith((self.address, "data:")):
            self.faults.append(f"request: {request.url}")
