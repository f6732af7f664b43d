"""Pages of the lead, the administrator, the auditor and the welfare lead: used by keyboard, with pictures kept."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import SCREENSHOTS, Desk
from .test_the_whole_way import signed_in


def keep_whole(page: Page, name: str) -> None:
    """The whole page, light and dark; nothing of it is wider than the window."""
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
    page.emulate_media(color_scheme="dark")
    page.screenshot(path=SCREENSHOTS / f"{name}-dark.png", full_page=True)
    page.emulate_media(color_scheme="light")
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, name


@pytest.mark.timeout(240)
def test_the_lead_sets_an_item_aside_and_takes_it_back_by_keyboard(browser: Browser, desk: Desk) -> None:
    with signed_in(browser, desk, "lead") as page:
        page.get_by_role("link", name="Queue", exact=True).press("Enter")
        expect(page.get_by_role("heading", name="What waits, and how old it is")).to_be_visible()
        keep_whole(page, "30-queue")
        page.get_by_role("button", name="Set it aside").press("Enter")
        expect(page.locator("#problem-item")).to_have_text("Choose the item.")
        expect(page.locator("#problem-person")).to_be_visible()
        expect(page.locator("#problem-reason")).to_be_visible()
        first = page.locator('input[name="item"]').first
        first.press("Space")
        number = first.get_attribute("value")
        page.get_by_label("For whom").select_option("first-analyst")
        page.get_by_role("button", name="Set it aside").press("Enter")
        expect(page.locator("#problem-reason")).to_have_text("Choose why.")
        expect(page.locator(f'input[value="{number}"][name="item"]')).to_be_checked()
        expect(page.get_by_label("For whom")).to_have_value("first-analyst")
        keep_whole(page, "31-queue-refused")
        page.get_by_label("Why", exact=True).select_option("waited")
        page.get_by_role("button", name="Set it aside").press("Enter")
        expect(page.get_by_text("Set aside. It is the first")).to_be_visible()
        page.get_by_role("link", name="Who has what").press("Enter")
        expect(page.get_by_role("row", name="first-analyst")).to_be_visible()
        keep_whole(page, "32-who-has-what")
        page.get_by_role("button", name=f"Take item {number} back").press("Enter")
        expect(page.get_by_text("Nothing is set aside.")).to_be_visible()
        page.get_by_role("link", name="Disagreements").press("Enter")
        expect(page.get_by_role("heading", name="Disagreements by investigation")).to_be_visible()
        keep_whole(page, "33-disagreements")
