"""Opens every page of the built book in a browser, and looks for what a reader would stumble over.

    python -m pip install playwright        # and Chromium: apt install chromium
    python tests/browser/check_book.py      # out/book, wide and narrow, light and dark
    python tests/browser/check_book.py --shots out/shots --pages index lessons/05_upsampling

Each page is opened from its file, with the network watched: a request that leaves the machine, an
error on the console, a picture that does not load, a page wider than a phone, mathematics that is
not set, a link to a place that is not there, are faults. Then the search is asked for batch norm.
Without playwright or Chromium it says so, and ends with status 77, which means: skipped.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
SKIPPED = 77

LOOK = """() => {
  const faults = [];
  for (const image of document.images) {
    image.loading = "eager";
    if (image.complete && image.naturalWidth === 0)
      faults.push("no picture: " + image.getAttribute("src"));
  }
  const width = document.documentElement.scrollWidth;
  if (width > window.innerWidth + 1) {
    const wide = [...document.querySelectorAll("article *")].filter(e => {
      const box = e.getBoundingClientRect();
      if (box.right <= window.innerWidth + 1) return false;
      for (let p = e.parentElement; p; p = p.parentElement)
        if (getComputedStyle(p).overflowX !== "visible") return false;
      return true;
    }).slice(0, 3).map(e => e.tagName + "." + e.className);
    faults.push(`scrolls sideways: ${width} > ${window.innerWidth} (${wide.join(", ")})`);
  }
  for (const math of document.querySelectorAll("math")) {
    if (math.closest("details:not([open])")) continue;
    const box = math.getBoundingClientRect();
    if (box.width < 2 || box.height < 4) { faults.push("mathematics without a size"); break; }
  }
  const article = document.querySelector("article");
  const text = article ? article.innerText : "";
  if (text.includes("$$") || /\\\\(frac|sum|text|mathrm|operatorname)\\b/.test(text))
    faults.push("mathematics not set");
  return {faults, math: document.querySelectorAll("math").length, pictures: document.images.length};
}"""

LINKS = """() => [...document.querySelectorAll("a[href]")]
  .map(a => new URL(a.getAttribute("href"), location.href).href)
  .filter(href => href.startsWith("file:"))"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--book", type=Path, default=ROOT / "out" / "book", metavar="DIR")
    parser.add_argument("--pages", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--shots", type=Path, metavar="DIR", help="pictures of the pages looked at")
    parser.add_argument("--sources", type=int, default=25, metavar="N", help="pages of code (25)")
    options = parser.parse_args()
    options.book = options.book.resolve()
    chromium = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if not (options.book / "index.html").is_file():
        print(f"skipped: there is no book in {options.book}: python lessons/book/build.py")
        return SKIPPED
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        print("skipped: playwright is not installed: python -m pip install playwright")
        return SKIPPED
    if chromium is None:
        print("skipped: there is no Chromium: apt install chromium")
        return SKIPPED
    started, faults = time.monotonic(), []
    pages = chosen(options.book, options.pages, options.sources)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        links: set[str] = set()
        totals = {"math": 0, "pictures": 0}
        for size, (width, height) in SIZES.items():
            for light in ("light", "dark"):
                found = Look(browser, options.book, width, height, light, options.shots, size)
                for page in pages:
                    faults += found.at(page, links, totals)
                found.close()
        faults += dead(links)
        faults += searched(browser, options.book, options.shots)
        browser.close()
    for fault in faults:
        print(fault)
    print(
        f"{len(pages)} pages, {len(SIZES)} sizes, light and dark: {totals['pictures']} pictures, "
        f"{totals['math']} formulas, {len(links)} links looked at in "
        f"{time.monotonic() - started:.0f} s"
    )
    print(f"{'FAILED: ' if faults else ''}{len(faults)} faults")
    return 1 if faults else 0


def chosen(book: Path, names: list[str] | None, sources: int) -> list[Path]:
    """The pages to open: all of the book's, and of the code's some, evenly spread."""
    if names:
        return [book / f"{name}.html" for name in names]
    every = sorted(book.rglob("*.html"))
    code = [page for page in every if page.relative_to(book).parts[0] == "source"]
    step = max(1, len(code) // max(1, sources))
    return [page for page in every if page not in set(code)] + (code[::step] if sources else [])


class Look:
    """One size and one light: a window that opens page after page."""

    def __init__(
        self,
        browser: Any,
        book: Path,
        width: int,
        height: int,
        light: str,
        shots: Path | None,
        size: str,
    ) -> None:
        self.book, self.shots, self.name = book, shots, f"{size}-{light}"
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=light, offline=True
        )
        self.page = self.context.new_page()
        self.heard: list[str] = []
        self.page.on("console", self.console)
        self.page.on("pageerror", lambda error: self.heard.append(f"error: {error}"))
        self.page.on("request", self.request)
        self.page.on("requestfailed", lambda r: self.heard.append(f"not found: {r.url}"))

    def console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.heard.append(f"console: {message.text}")

    def request(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.heard.append(f"a request leaves the machine: {request.url}")

    def at(self, path: Path, links: set[str], totals: dict[str, int]) -> list[str]:
        """The faults of one page."""
        self.heard.clear()
        self.page.goto(path.as_uri(), wait_until="load")
        self.page.evaluate("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
        self.page.wait_for_function("[...document.images].every(i => i.complete)", timeout=20_000)
        seen = self.page.evaluate(LOOK)
        links |= set(self.page.evaluate(LINKS))
        totals["math"] += seen["math"]
        totals["pictures"] += seen["pictures"]
        name = path.relative_to(self.book).as_posix()
        if self.shots:
            self.shots.mkdir(parents=True, exist_ok=True)
            target = self.shots / f"{name.removesuffix('.html').replace('/', '_')}-{self.name}.png"
            self.page.screenshot(path=str(target), full_page=True)
        return [f"{name} ({self.name}): {fault}" for fault in [*seen["faults"], *self.heard]]

    def close(self) -> None:
        self.context.close()


def dead(links: set[str]) -> list[str]:
    """Links to files, or to places in pages, that are not there."""
    from urllib.parse import unquote, urlparse

    texts: dict[Path, str] = {}
    found = []
    for link in sorted(links):
        parts = urlparse(link)
        path = Path(unquote(parts.path))
        if not path.exists():
            found.append(f"a link leads nowhere: {link}")
        elif parts.fragment and path.suffix == ".html":
            text = texts.setdefault(path, path.read_text("utf-8"))
            place = unquote(parts.fragment)
            if f'id="{place}"' not in text and f'name="{place}"' not in text:
                found.append(f"a link leads to no place on its page: {link}")
    return found


def searched(browser: Any, book: Path, shots: Path | None) -> list[str]:
    """What is wrong with the search for batch norm, from a file."""
    look = Look(browser, book, *SIZES["desktop"], "light", None, "search")
    look.page.goto((book / "search.html").as_uri() + "?q=batch+norm")
    try:
        look.page.wait_for_selector("#search-results li", timeout=15_000)
        look.page.wait_for_timeout(1000)
        hits = look.page.locator("#search-results li").all_inner_texts()
    except Exception as error:  # a time-out: nothing was found
        return [f"search: {str(error).splitlines()[0]}"]
    if shots:
        look.page.screenshot(path=str(shots / "search.png"))
    wrong = [f"search: {fault}" for fault in look.heard]
    if not any("ormalis" in hit or "batch" in hit.lower() for hit in hits):
        wrong.append(f"search for batch norm finds only {hits[:5]}")
    look.close()
    return wrong


if __name__ == "__main__":
    sys.exit(main())
