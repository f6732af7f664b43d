"""What people are exposed to, in a real browser before a real key process, with pictures kept."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, expect

from .conftest import SCREENSHOTS, Desk
from .test_the_whole_way import keep, show_step, signed_in


@pytest.mark.timeout(180)
def test_a_person_lowers_their_own_limit_and_is_warned_and_told_when_it_frees(browser: Browser, desk: Desk) -> None:
    with signed_in(browser, desk, "second-analyst") as page:
        page.goto(f"{desk.address}work")
        start = page.get_by_role("button", name="Start")
        if start.count():
            start.press("Enter")
        expect(page.locator("body.with-script")).to_be_visible()
        show_step(page, 2)
        page.goto(f"{desk.address}exposure")
        rows = page.locator("table.bars tbody tr")
        expect(rows).to_have_count(5)
        used = int(rows.first.locator("td.n").inner_text())
        assert used >= 2
        page.screenshot(path=SCREENSHOTS / "20-exposure.png", full_page=True)
        page.get_by_label("Views in an hour").fill(str(used + 1))
        page.get_by_role("button", name="Lower my limit").press("Enter")
        expect(page.get_by_text("Your limit is lower now")).to_be_visible()

        page.goto(f"{desk.address}work")
        expect(page.locator("body.with-script")).to_be_visible()
        show_step(page, 1)
        page.goto(f"{desk.address}work")
        expect(page.get_by_role("link", name="budget used up")).to_be_visible()
        expect(page.locator(".before .notice")).to_contain_text(re.compile(r"It frees at \d\d:\d\d UTC"))
        keep(page, "21-budget-used-up")
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0
        with page.context.expect_page() as opened:  # a page of its own, so that answers are not lost
            page.get_by_role("link", name="budget used up").click()
        opened.value.wait_for_url("**/exposure")
        opened.value.screenshot(path=SCREENSHOTS / "22-exposure-used-up.png", full_page=True)


def test_the_welfare_lead_sees_persons_and_the_lead_no_week_of_so_few(browser: Browser, desk: Desk) -> None:
    with signed_in(browser, desk, "welfare") as page:
        page.get_by_role("main").get_by_role("link", name="Exposure of people").press("Enter")
        expect(page.get_by_role("row", name=re.compile("second-analyst"))).to_be_visible()
        page.screenshot(path=SCREENSHOTS / "23-exposure-of-people.png", full_page=True)
    with signed_in(browser, desk, "lead") as page:
        page.get_by_role("link", name="Exposure of the team").press("Enter")
        expect(page.get_by_text("Not shown: fewer than 5 people").first).to_be_visible()
        expect(page.locator("main")).not_to_contain_text("analyst")
        page.screenshot(path=SCREENSHOTS / "24-exposure-of-the-team.png", full_page=True)
