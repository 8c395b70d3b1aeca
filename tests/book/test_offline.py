"""The book asks no other host for anything, by its files and in a browser, and it fits a telephone."""

import functools
import re
import threading
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

LOADING_LINKS = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "modulepreload", "manifest"}


def elsewhere(address: str) -> bool:
    """Tell whether an address is on another host."""
    return bool(urlsplit(address.strip()).netloc)


def test_no_page_loads_anything_from_another_host(book):
    asked = []
    for path in book.html.rglob("*.html"):
        name = path.relative_to(book.html).with_suffix("").as_posix()
        if name.startswith("_static/"):
            continue
        page = book.page(name)
        found = [tag[key] for key in ("src", "srcset", "poster", "data") for tag in page.select(f"[{key}]")]
        found += [tag["href"] for tag in page.select("link[href]") if LOADING_LINKS & set(tag.get("rel", []))]
        styles = [tag.get_text() for tag in page.select("style")] + [tag["style"] for tag in page.select("[style]")]
        found += [address for style in styles for address in addresses(style)]
        asked += [(name, address) for address in found if elsewhere(address)]
    assert asked == []


def test_no_style_sheet_loads_anything_from_another_host(book):
    asked = []
    for path in book.html.rglob("*.css"):
        found = addresses(path.read_text(encoding="utf-8", errors="replace"))
        asked += [(path.name, address) for address in found if elsewhere(address)]
    assert asked == []


def addresses(style: str) -> list[str]:
    """Return what a style sheet loads: ``url(…)`` and ``@import "…"``."""
    urls = re.findall(r"url\(\s*['\"]?([^'\")]+)", style)
    return [url for url in urls if not url.startswith("data:")] + re.findall(r"@import\s+['\"]([^'\"]+)", style)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@contextmanager
def served(folder: Path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()


class Visitor:
    """A browser page that notes whatever goes wrong.

    The browser gives up what a page still loads (its icon, say) when one leaves for the next, and now and then on its
    own: that is nobody's fault, as long as what was asked for is there.
    """

    def __init__(self, page, address: str):
        self.page, self.address, self.wrong, self.at = page, address, [], ""
        self.visit, self.visits, self.given_up = 0, {}, set()
        page.route(lambda url: not url.startswith((address, "data:", "blob:")), self.refuse)
        page.on("console", lambda said: self.note(f"console: {said.text}") if said.type == "error" else None)
        page.on("pageerror", lambda error: self.note(f"script: {error}"))
        page.on("request", lambda request: self.visits.update({request: self.visit}))
        page.on("requestfailed", self.failed)
        page.on(
            "response", lambda answer: self.note(f"{answer.status}: {answer.url}") if answer.status >= 400 else None
        )

    def note(self, what: str) -> None:
        self.wrong.append((self.at, what))

    def refuse(self, route) -> None:
        self.note(f"asked another host: {route.request.url}")
        route.abort()

    def failed(self, request) -> None:
        if request.failure != "net::ERR_ABORTED":
            self.note(f"failed: {request.url} ({request.failure})")
        elif self.visits.get(request) == self.visit:
            self.given_up.add(request.url)

    def faults(self) -> list:
        """Return what went wrong; of what the browser gave up, what is not there."""
        missing = []
        for url in sorted(self.given_up):
            try:
                with urlopen(url, timeout=10) as answer:
                    answer.read()
            except OSError as error:
                missing.append(f"given up, and not to be had: {url} ({error})")
        return self.wrong + missing

    def leave(self) -> None:
        """Open an empty page, so that what follows belongs to another visit."""
        self.visit += 1
        self.page.goto("about:blank")

    def go(self, where: str) -> None:
        self.leave()
        self.at = where
        self.page.goto(self.address + where, wait_until="load")
        if self.page.locator(".math").count():
            self.page.wait_for_function("window.MathJax?.startup?.promise !== undefined")
            self.page.evaluate("MathJax.startup.promise.then(() => true)")
        self.page.wait_for_load_state("networkidle")


@pytest.fixture(scope="module")
def visitor(book, launch):
    with served(book.html) as address:
        browser = launch()
        yield Visitor(browser.new_page(viewport={"width": 1280, "height": 900}), address)
        browser.close()


def test_every_page_opens_whole_and_alone_and_fits_a_telephone(book, visitor):
    visitor.wrong.clear()
    for name in [*book.docnames, "genindex", "search"]:
        visitor.page.set_viewport_size({"width": 1280, "height": 900})
        visitor.go(f"{name}.html")
        typeset = visitor.page.evaluate(
            "[...document.querySelectorAll('.math')].filter(m => !m.querySelector('mjx-container')).length"
        )
        if typeset:
            visitor.note(f"{typeset} formulas are not typeset")
        for error in visitor.page.locator("mjx-merror").all():
            visitor.note(f"formula: {error.get_attribute('data-mjx-error')}")
        pictures = (
            "[...document.images].filter(i => i.loading !== 'lazy' && !(i.complete && i.naturalWidth)).map(i => i.src)"
        )
        for picture in visitor.page.evaluate(pictures):
            visitor.note(f"picture not shown: {picture}")
        visitor.page.set_viewport_size({"width": 390, "height": 844})
        if (width := visitor.page.evaluate("document.documentElement.scrollWidth")) > 391:
            visitor.note(f"{width} px wide on a telephone of 390 px")
    assert visitor.faults() == []


def test_the_first_page_leads_to_the_book(book, visitor):
    visitor.leave()
    visitor.page.goto(visitor.address)
    visitor.page.wait_for_url(f"**/{book.docnames[0]}.html")


def test_search_finds_pages(book, visitor):
    visitor.wrong.clear()
    visitor.page.set_viewport_size({"width": 1280, "height": 900})
    visitor.go("search.html?q=entropy")
    visitor.page.wait_for_selector("ul.search li a", timeout=10_000)
    assert visitor.page.locator("ul.search li a").count() >= 1
    assert visitor.faults() == []
