"""A look at a sampled decision, and the buttons by which the third person has two pictures compared, in a browser."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import Desk
from .test_accessibility import look_over
from .test_the_whole_way import REFERENCE, answer_every_question, go_on, keep, show_step, signed_in, start


@pytest.mark.timeout(400)
def test_a_quality_lead_looks_over_a_decision_step_by_step_and_records_it(browser: Browser, desk: Desk) -> None:
    havenline = Path(sys.executable).with_name("havenline")
    drawn = [havenline, "quality", "sample", REFERENCE, "--size", "3", "--home", desk.home, "--by", "senior"]
    done = subprocess.run(drawn, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    with signed_in(browser, desk, "senior") as page:
        page.get_by_role("link", name="Samples", exact=True).click()
        expect(page.get_by_role("heading", name="Samples of decisions")).to_be_visible()
        page.get_by_role("button", name="Begin").press("Enter")
        expect(page.locator("body.with-script #finding")).to_be_visible()
        assert page.locator("#screen img").count() == 0, "nothing loads by itself"
        for step in (1, 2):
            page.keyboard.press(".")
            expect(page.locator(f'button[data-step="{step}"]')).to_have_attribute("aria-pressed", "true")
            expect(page.locator("#screen img")).to_be_visible()
        keep(page, "quality-look")
        page.keyboard.press("Space")
        page.keyboard.press("Space")
        expect(page.locator("#screen img")).to_have_count(0)
        assert look_over(page) == []
        page.get_by_label("differs in some facts").check()
        page.keyboard.press("Control+Enter")
        expect(page.get_by_role("alert")).to_contain_text("Mark each question")
        expect(page.get_by_label("differs in some facts")).to_be_checked()
        page.locator("#finding input[name=differs]").first.check()
        page.keyboard.press("Control+Enter")
        expect(page.get_by_role("heading", name="Samples of decisions")).to_be_visible()
        expect(page.locator("table").first).to_contain_text(REFERENCE)
        keep(page, "quality-samples")
        assert look_over(page) == []


def assess_one_with_near(page: Page, *, first: str) -> None:
    """Pass on what stands alone, and answer the first item that has near pictures."""
    start(page)
    expect(page.locator("body.with-script #assessment")).to_be_visible()
    held = page.locator('#assessment input[name="assignment"]')
    while page.locator("li.tile.near").count() == 0:
        passed_on = held.get_attribute("value")
        page.keyboard.press("s")
        page.locator('#skip-menu input[value="not_today"]').check()
        page.get_by_role("button", name="Pass it on").click()
        expect(page.locator("body.with-script #assessment")).to_have_count(0)
        start(page)
        expect(page.locator("body.with-script #assessment")).to_be_visible()
        assert held.get_attribute("value") != passed_on
    show_step(page, 2)
    answer_every_question(page, first=first)
    page.keyboard.press("Control+Enter")
    go_on(page)


@pytest.mark.timeout(400)
def test_the_third_person_has_two_pictures_compared_by_a_button(browser: Browser, desk: Desk) -> None:
    for name, first in (("first-analyst", "1"), ("second-analyst", "2")):
        with signed_in(browser, desk, name) as page:
            assess_one_with_near(page, first=first)
    with signed_in(browser, desk, "adjudicator") as page:
        start(page)
        expect(page.get_by_role("heading", name="Where two people differed")).to_be_visible()
        buttons = page.locator("[data-compare] button[data-member]")
        expect(buttons.first).to_be_visible()
        compared = page.locator("#compared")
        expect(compared).to_be_empty()
        buttons.first.press("Enter")
        expect(compared).to_contain_text("score")
        expect(compared).to_contain_text("Does not show")
        expect(buttons.first).to_be_enabled()
        assert page.locator("img").count() == 0, "no pixel of either is shown"
        keep(page, "compared")
        assert look_over(page) == []
