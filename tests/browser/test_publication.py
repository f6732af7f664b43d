"""A publication in a real browser, before it is released: the page around it, and the page that would be public."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pypdfium2
import pytest
from playwright.sync_api import Browser, expect

from .conftest import SCREENSHOTS, Desk
from .test_accessibility import faults, look_over
from .test_the_whole_way import REFERENCE, keep, signed_in

FONT_IS_THERE = """document.fonts.ready.then(() => document.fonts.check('1em "Source Sans Pro"'))"""
UNREADABLE = """() => { const over = [];
  for (const svg of document.querySelectorAll('figure svg')) {
    const texts = [...svg.querySelectorAll('text')].filter(one => one.textContent.trim())
        .map(one => [one.getBoundingClientRect(), one.textContent]);
    const frame = svg.getBoundingClientRect();
    texts.forEach(([box, said], place) => {
      if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1)
        over.push(`outside: ${said}`);
      for (const [other, told] of texts.slice(place + 1))
        if (Math.min(box.right, other.right) - Math.max(box.left, other.left) > 2
            && Math.min(box.bottom, other.bottom) - Math.max(box.top, other.top) > 4) over.push(`${said} × ${told}`);
    });
  }
  return over; }"""
"""Letters of a chart that lie on other letters of it, or outside of it."""


def publish(desk: Desk, folder: Path) -> None:
    command = [Path(sys.executable).with_name("havenline"), "publish", REFERENCE, "--home", desk.home, "--by", "lead"]
    made = ("--number", "HL-2026-9", "--title", "Drawn pictures", "--to", folder / "p", "--snapshot", folder / "s")
    done = subprocess.run([*command, *made], capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(600)
def test_a_publication_is_looked_at_before_anybody_agrees(browser: Browser, desk: Desk, tmp_path: Path) -> None:
    publish(desk, tmp_path)
    asked: list[str] = []
    with signed_in(browser, desk, "senior") as page:
        page.context.on("request", lambda request: asked.append(request.url))
        page.goto(f"{desk.address}proposals")
        page.get_by_role("link", name="Look at exactly what would be public").click()
        expect(page.get_by_role("heading", name="Drawn pictures")).to_be_visible()
        keep(page, "publication-preview")
        assert look_over(page) == []
        with page.expect_popup() as opened:
            page.get_by_role("link", name="Open the page").click()
        public = opened.value
        expect(public.get_by_role("heading", name="Drawn pictures", exact=True)).to_be_visible()
        assert public.content().count("<svg") > 0
        public.screenshot(path=SCREENSHOTS / "publication-page.png", full_page=True)
        assert public.evaluate(FONT_IS_THERE)
        assert public.evaluate(UNREADABLE) == []
        assert faults(public) == []
        public.set_viewport_size({"width": 640, "height": 360})
        assert public.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
        public.close()
    assert asked
    assert [url for url in asked if not url.startswith(desk.address)] == []
    with pypdfium2.PdfDocument(tmp_path / "p" / "report.pdf") as pdf:
        for number, sheet in enumerate(pdf, 1):
            sheet.render(scale=1.2).to_pil().save(SCREENSHOTS / f"publication-pdf-{number}.png")
            assert sheet.get_textpage().count_chars() > 20, "no sheet is left empty"
