"""Skip, escalate, take back: by keyboard in a real browser, with pictures kept."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from .conftest import Desk
from .test_the_whole_way import answer_every_question, keep, show_step, signed_in


@pytest.mark.timeout(180)
def test_an_analyst_skips_escalates_and_takes_back_and_the_lead_is_called(browser: Browser, desk: Desk) -> None:
    with signed_in(browser, desk, "first-analyst") as page, signed_in(browser, desk, "lead") as lead:
        expect(lead.locator("#alarm")).to_be_hidden()
        page.goto(f"{desk.address}work")
        start = page.get_by_role("button", name="Start")
        if start.count():
            start.press("Enter")
        held = page.locator('#assessment input[name="assignment"]')
        before = held.get_attribute("value")
        assert before is not None
        expect(page.locator("body.with-script")).to_be_visible()
        page.keyboard.press("s")
        expect(page.locator("#skip-menu input[type=radio]").first).to_be_focused()
        keep(page, "10-skip")
        page.get_by_label("cannot be judged from what is shown").check()
        page.get_by_role("button", name="Pass it on").press("Enter")
        page.get_by_role("button", name="Start").press("Enter")
        expect(held).not_to_have_value(before)

        expect(page.locator("body.with-script")).to_be_visible()
        show_step(page, 1)
        page.keyboard.press("e")
        expect(page.locator("#escalate-menu button")).to_be_focused()
        keep(page, "11-escalate")
        page.keyboard.press("Enter")
        page.wait_for_url("**/escalations")
        keep(page, "12-escalated")
        lead.goto(desk.address)
        expect(lead.locator("#alarm")).to_be_visible()
        lead.locator("#alarm").press("Enter")
        lead.wait_for_url("**/escalations")
        keep(lead, "13-escalation-of-the-lead")
        lead.get_by_role("button", name="I take it over").press("Enter")
        expect(lead.locator("#alarm")).to_be_hidden()

        page.goto(f"{desk.address}work")
        expect(page.locator("body.with-script")).to_be_visible()
        show_step(page, 2)
        answer_every_question(page)
        page.keyboard.press("Control+Enter")
        expect(page.locator("#undo")).to_be_visible()
        keep(page, "14-undo")
        page.keyboard.press("u")
        expect(page.locator("fieldset.question:visible:not(:has(input:checked))")).to_have_count(0)
        expect(page.locator("#screen img")).to_have_count(0)
        page.keyboard.press("Control+Enter")
        expect(page.locator("#undo")).to_be_visible()
        expect(page.locator("#undo")).to_be_hidden()
        expect(page.get_by_text("Recorded.")).to_be_visible()
