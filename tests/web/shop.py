"""An application whose store has everything that the dashboard shows: for its tests, and for the pictures of it."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from taskmill import Cancel, Mill, Retry, cron, every
from taskmill._core.deed import Deed
from taskmill._core.identity import new_job_id
from taskmill._core.instant import MINUTE
from taskmill._core.tally import WAITED, Tally

mill = Mill("sqlite:///shop.db")
GATE = threading.Event()
STARTED = threading.Semaphore(0)


DEEDS = (
    ("deploy", "terminal of build-runner-7f9c", "pause", "mail", 1),
    ("ann@example.org", "10.4.0.17", "retry", "jobs with state=failed, task=shop.mail.send_receipt", 12),
    ("deploy", "terminal of build-runner-7f9c", "resume", "mail", 1),
    ("token", "10.4.0.9", "stop of the worker of session", "41", 1),
    ("bob@example.org", "10.4.0.23", "pause of schedule", "shop.sync_prices", 1),
    ("bob@example.org", "10.4.0.23", "resuming of schedule", "shop.sync_prices", 1),
    ("ann@example.org", "10.4.0.17", "cancel", "019a2b7c-3d7e-7f4a-8b5c-6d7e8f9a0b1c", 0),
    ("ann@example.org", "10.4.0.17", "purge of ended jobs", "imports", 4_210),
)


@mill.task(name="shop.orders.import_orders", retries=2, queue="imports")
def import_orders(supplier: str, *, page: int = 1, api_key: str = "") -> dict[str, object]:
    if supplier == "acme":
        raise ConnectionError(f"502 from https://api.{supplier}.example/orders?page={page}")
    return {"supplier": supplier, "orders": 10 + page, "pages": list(range(page)), "token": "t0p-secret"}


@mill.task(name="shop.mail.send_receipt", queue="mail", priority=20, retries=3, retry_delay=600)
def send_receipt(order: int, to: str, *, password: str = "") -> str:
    if order % 5 == 0:
        raise TimeoutError(f"mail server said nothing for order {order} to {to!r}")
    if order % 7 == 0:
        raise Retry(delay=300)
    return f"sent to {to}"


@mill.task(name="shop.images.resize")
def resize(path: str, width: int, height: int) -> tuple[int, int]:
    if width < 0:
        raise ValueError(f"a width of {width} makes no sense")
    return width, height


@mill.task(name="shop.stock.check_stock")
def check_stock(article: str) -> int:
    if article.startswith("x"):
        raise KeyError(article)
    if article.startswith("n"):
        raise Cancel("no such article")
    return len(article)


@mill.task(name="shop.reports.yearly", queue="reports", lock="reports")
def yearly(year: int) -> str:
    STARTED.release()
    GATE.wait(1_000)
    return f"report of {year}"


@mill.task(name="shop.invoices.render")
def render(order: int) -> str:
    return f"invoice-{order}.pdf"


@mill.task(name="shop.invoices.archive")
def archive(path: str) -> str:
    if path.endswith("13.pdf"):
        raise PermissionError(13, "Permission denied", path)
    return f"archive/{path}"


@mill.task(name="shop.invoices.notify")
def notify(path: str) -> None: ...


@mill.periodic(cron("*/15 8-18 * * mon-fri", tz="Europe/Berlin"), name="shop.sync_prices")
def sync_prices() -> None: ...


@mill.periodic(every(hours=1), name="shop.clean_up")
def clean_up() -> None: ...


def fill(store: Mill, *, jobs: int = 60) -> None:
    """Let a worker end what ends, and leave the rest as it would lie about."""
    for number in range(1, jobs + 1):
        resize.enqueue(f"/srv/images/{number:05}.jpg", 640 if number % 20 else -number, 480)
        send_receipt.using(tags=["receipt"]).enqueue(
            number, f"customer{number}@example.org", password="hunter2"
        )
        check_stock.enqueue(
            ("x" if number % 15 == 0 else "n" if number % 25 == 0 else "a") + f"rticle-{number}"
        )
    for number in range(1, 7):
        import_orders.enqueue("acme" if number % 3 == 0 else "globex", page=number, api_key="k3y")
    for order in (11, 12, 13):
        (render.s(order) | archive.s() | notify.s()).enqueue()
    with store.worker(threads=4, queues=["mail", "default", "imports"], burst=True):
        pass
    for number in range(3):
        store.enqueue_many(
            [resize.using(delay=3600 * (number + 1)).s(f"/srv/images/later-{number}.jpg", 320, 200)]
        )
    cancelled = resize.using(delay=86_400).enqueue("/srv/images/never.jpg", 1, 1)
    cancelled.cancel()
    for who, origin, what, subject, number in DEEDS:
        store.app.storage.audit.append(Deed(new_job_id(), who, origin, what, subject, number))


def spread_out(store: Mill) -> None:
    """An hour of counts, as if it had been like this all the time."""
    now = store.app.storage.now() // MINUTE
    ups = random.Random(7)
    store.app.storage.statistics.add(
        [
            Tally(
                now - ago,
                task,
                event,
                bucket,
                round(number * ups.uniform(0.6, 1.4) * (1 + math.sin(ago / 9) / 2)),
            )
            for ago in range(1, 60)
            for task, event, bucket, number in (
                ("shop.images.resize", "succeeded", 11, 60),
                ("shop.images.resize", "succeeded", 13, 40),
                ("shop.mail.send_receipt", "succeeded", 16, 50),
                ("shop.mail.send_receipt", "retrying", 20, 5 if ago > 20 else 19),
                ("shop.stock.check_stock", "succeeded", 12, 70),
                ("shop.stock.check_stock", "failed", 12, 3),
                ("shop.orders.import_orders", "succeeded", 19, 9),
                ("shop.images.resize", WAITED, 14, 80),
                ("shop.images.resize", WAITED, 18, 20 if ago > 20 else 60),
                ("shop.mail.send_receipt", WAITED, 15, 55),
                ("shop.stock.check_stock", WAITED, 13, 73),
                ("shop.orders.import_orders", WAITED, 20, 9),
            )
        ]
    )


@contextmanager
def at_work(store: Mill) -> Iterator[None]:
    """Two jobs for one lock, of which one runs; and a queue that nobody serves."""
    GATE.clear()
    years = [yearly.enqueue(year) for year in (2024, 2025, 2026)]
    import_orders.using(queue="night").enqueue("initech", page=3)
    with store.worker(threads=4, queues=["reports", "default", "mail"]):
        STARTED.acquire()
        time.sleep(0)
        try:
            yield
        finally:
            GATE.set()
            for result in years:
                result.get(timeout=30)
