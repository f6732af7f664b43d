"""The desk in Arabic, from Start to submitted, and a change of language by hand: in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import SCREENSHOTS, Desk
from .test_the_whole_way import REFERENCE, answer_every_question, show_step, signed_in, start

LATIN = {
    *("Havenline", "demo", "shapes", "Ctrl", "Esc", "Enter", "Alt", "Meta", "JPEG", "PNG", "DEMO", "UTC"),
    *("duty", "lead", "director", "on", "call", "first", "second", "analyst", "havenline", "calibration", "set", "up"),
    *("English", "Espa", "ol"),
}
"""Names, keys and codes, and what the demonstration declared in English: the duties of its two contacts."""


def left_in_english(page: Page) -> set[str]:
    """Words in Latin letters that the page shows, but names, keys and single letters."""
    text = page.locator("body").inner_text()
    return set(re.findall(r"[A-Za-z]{2,}", text.replace(REFERENCE, ""))) - LATIN


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_item_is_assessed_in_arabic_from_start_to_submitted(browser: Browser, desk: Desk, scheme: str) -> None:
    with signed_in(browser, desk, "first-analyst", locale="ar", color_scheme=scheme) as page:
        expect(page.locator("html")).to_have_attribute("dir", "rtl")
        assert left_in_english(page) == set()
        page.screenshot(path=SCREENSHOTS / f"15-arabic-home-{scheme}.png")
        page.goto(f"{desk.address}work")
        if not page.locator("#assessment").count():
            start(page)
        show_step(page, 1)
        assert left_in_english(page) == set()
        column = {part: page.locator(part).bounding_box() for part in (".before", ".stage", ".facts-form")}
        assert column[".before"]["x"] > column[".stage"]["x"] > column[".facts-form"]["x"], (
            "reading begins on the right"
        )  # type: ignore[index]
        page.screenshot(path=SCREENSHOTS / f"15-arabic-workspace-{scheme}.png")
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
        assert left_in_english(page) == set()
        directions = page.locator("kbd").evaluate_all("keys => keys.map(key => getComputedStyle(key).direction)")
        assert set(directions) == {"ltr"}, "keys read as they are written on the keyboard"
        page.screenshot(path=SCREENSHOTS / f"15-arabic-keys-{scheme}.png")
        page.keyboard.press("Escape")
        for key, menu in (("s", "#skip-menu"), ("e", "#escalate-menu")):
            page.keyboard.press(key)
            expect(page.locator(f"{menu}[open]")).to_be_visible()
            assert left_in_english(page) == set()
            page.locator(f"{menu} summary").press("Enter")
            expect(page.locator(f"{menu}[open]")).to_have_count(0)
        page.keyboard.press("Control+Enter")
        expect(page.locator("#left.attention")).to_be_visible()
        answer_every_question(page)
        page.screenshot(path=SCREENSHOTS / f"15-arabic-answered-{scheme}.png")
        page.keyboard.press("Control+Enter")
        expect(page.locator("#undo")).to_be_visible()
        assert left_in_english(page) == set()
        page.screenshot(path=SCREENSHOTS / f"15-arabic-submitted-{scheme}.png")
        page.keyboard.press("u")
        expect(page.locator("body.with-script #assessment")).to_be_visible()
        expect(page.locator("fieldset.question:visible:not(:has(input:checked))")).to_have_count(0)
        page.keyboard.press("Control+Enter")
        expect(page.locator("#undo")).to_be_visible()
        expect(page.locator("#undo")).to_be_hidden()  # the seconds are over, and it is recorded
        page.goto(f"{desk.address}exposure")
        assert left_in_english(page) <= {"MiB"}


@pytest.mark.timeout(120)
def test_the_language_is_changed_by_hand_and_kept(browser: Browser, desk: Desk) -> None:
    with signed_in(browser, desk, "lead") as page:
        page.goto(f"{desk.address}investigations")
        page.locator(".language summary").press("Enter")
        page.get_by_role("button", name="Español").press("Enter")
        expect(page.locator("html")).to_have_attribute("lang", "es")
        assert page.url == f"{desk.address}investigations"
        page.goto(desk.address)
        expect(page.get_by_role("button", name="Cerrar sesión")).to_be_visible()
