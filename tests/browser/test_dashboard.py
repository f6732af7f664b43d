"""How the work stands, in a real browser: looked at again by itself, without a reload."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from .conftest import SCREENSHOTS, Desk
from .test_the_whole_way import signed_in


@pytest.mark.timeout(300)
def test_the_page_of_the_moment_looks_again_without_a_reload(browser: Browser, desk: Desk) -> None:
    with signed_in(browser, desk, "lead") as page:
        page.goto(f"{desk.address}investigations")
        page.get_by_role("main").locator("a[href^='/investigations/']").first.click()
        reference = page.url.rstrip("/").rsplit("/", 1)[-1]
        page.goto(f"{desk.address}figures/{reference}/now")
        expect(page.get_by_role("heading", name="Backlog and its age")).to_be_visible(timeout=60_000)
        page.evaluate("document.documentElement.dataset.loaded = 'once'")
        link = page.locator("a[href='#counts-backlog']")
        link.focus()
        with page.expect_response(lambda answer: answer.url.endswith("/now/part") and answer.ok, timeout=120_000):
            pass
        moment = page.locator("#dashboard p").first
        before = moment.inner_text()
        expect(moment).not_to_have_text(before, timeout=120_000)
        assert page.evaluate("document.documentElement.dataset.loaded") == "once", "the page was loaded anew"
        expect(link).to_be_focused()
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0
        page.screenshot(path=SCREENSHOTS / "60-how-the-work-stands.png", full_page=True)
