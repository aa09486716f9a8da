"""Takes the pictures of docs/dashboard.md: ``python3 dev.py pictures``."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from pathlib import Path

from playwright.sync_api import sync_playwright

from taskmill import State
from taskmill._app import steering
from taskmill._core.filter import Filter
from taskmill._web.access import Tokens
from taskmill._web.server import Server, ServerOptions
from tests.web import shop

FOLDER = Path(__file__).parents[2] / "docs/dashboard"
TOKENS = {"operate": "0123456789abcdef"}
WIDE, PHONE = (1140, 700), (390, 700)


def main() -> None:
    """Fill a store, look at it, and keep what is seen."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        shop.mill.configure(f"sqlite:///{folder}/shop.db?durability=normal")
        shop.fill(shop.mill)
        shop.spread_out(shop.mill)
        with shop.at_work(shop.mill):
            server = Server(shop.mill.app, ServerOptions(tokens=TOKENS))
            thread = threading.Thread(target=server.run)
            thread.start()
            try:
                take(server.url.rstrip("/"))
            finally:
                server.stop()
                thread.join()
        shop.mill.close()


def take(address: str) -> None:
    """All pictures."""
    failed = steering.find(
        shop.mill.app, Filter(states=[State.FAILED], task="shop.invoices.archive"), limit=1
    )[0]
    waiting = next(
        job for job in steering.find(shop.mill.app, Filter(task="shop.reports.yearly")) if job.waits_for
    )
    pictures = {
        "overview": ("/", WIDE, "light"),
        "jobs-dark": ("/jobs", WIDE, "dark"),
        "job": (f"/jobs/{failed.job_id}", WIDE, "light"),
        "waiting": (f"/jobs/{waiting.job_id}", WIDE, "light"),
        "errors": ("/errors", WIDE, "light"),
        "tasks": ("/tasks", WIDE, "light"),
        "queues-dark": ("/queues", WIDE, "dark"),
        "filters": ("/jobs?tag=receipt&lowest=10&enqueued_from=2026-01-01T08:00", WIDE, "light"),
        "schedules-dark": ("/schedules", WIDE, "dark"),
        "workers": ("/workers", WIDE, "light"),
        "locks": ("/locks", WIDE, "light"),
        "enqueue-dark": ("/enqueue?task=shop.mail.send_receipt", WIDE, "dark"),
        "audit": ("/audit", WIDE, "light"),
        "phone": ("/", PHONE, "light"),
    }
    tokens = Tokens(TOKENS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM") or shutil.which("chromium"), args=["--no-sandbox"]
        )
        for name, (path, (width, height), scheme) in pictures.items():
            context = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
            )
            context.add_cookies(
                [{"name": tokens.cookie, "value": tokens.pass_for("operate"), "url": address}]
            )
            page = context.new_page()
            page.goto(address + path)
            page.locator("#live[data-state=on]").wait_for()
            # Whatever folder it was, the reader's is another one.
            page.evaluate("document.querySelector('.place').textContent = 'sqlite:///shop.db'")
            page.wait_for_timeout(300)
            page.screenshot(path=FOLDER / f"{name}.png")
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
