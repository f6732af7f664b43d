"""Frameworks, an investigation under each law, agreement, and calibration: in a real browser, with pictures kept."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from .conftest import Desk
from .test_the_whole_way import REFERENCE, answer_every_question, go_on, keep, show_step, signed_in


@pytest.mark.timeout(240)
def test_the_lead_reads_laws_their_results_and_how_well_people_agree(browser: Browser, desk: Desk) -> None:
    with signed_in(browser, desk, "lead") as page:
        page.get_by_role("link", name="Frameworks", exact=True).click()
        expect(page.get_by_role("heading", name="Frameworks")).to_be_visible()
        keep(page, "frameworks")
        page.get_by_role("link", name="Industry classification (NCMEC)").click()
        expect(page.get_by_role("heading", name="Rules, in the order in which they are tried")).to_be_visible()
        expect(page.locator("ol.rules > li")).to_have_count(6)
        keep(page, "framework")
        page.goto(f"{desk.address}investigations/{REFERENCE}")
        page.get_by_role("link", name="under each law").click()
        expect(page.get_by_text("indicative: the law of another place")).to_be_visible()
        derived = page.locator("tfoot td.n")
        expect(derived).to_have_count(2)
        assert derived.nth(0).inner_text() == derived.nth(1).inner_text() != "0"
        keep(page, "under-each-law")
        page.goto(f"{desk.address}investigations/{REFERENCE}")
        page.get_by_role("link", name="Agreement").click()
        expect(page.get_by_role("heading", name="By fact")).to_be_visible()
        keep(page, "agreement")


@pytest.mark.timeout(240)
def test_an_analyst_calibrates_in_the_ordinary_workspace_and_sees_the_result(browser: Browser, desk: Desk) -> None:
    with signed_in(browser, desk, "second-analyst") as page:
        page.get_by_role("link", name="Calibration").click()
        keep(page, "calibration")
        page.get_by_role("button", name="Begin").press("Enter")
        expect(page.get_by_text("CALIBRATION").first).to_be_visible()
        for _ in range(10):
            held = page.locator('#assessment input[name="assignment"]').get_attribute("value")
            show_step(page, 1)
            answer_every_question(page, first="1")
            page.keyboard.press("Control+Enter")
            go_on(page)
            now_held = page.locator('#assessment input[name="assignment"]')
            assert now_held.count() == 0 or now_held.get_attribute("value") != held
        # Always the first answer: nobody passes so, and the certificate of installation stays in date.
        page.get_by_role("link", name="Calibration").click()
        expect(page.get_by_text("not passed; try again with new pictures")).to_be_visible()
        expect(page.get_by_text("in date", exact=False).first).to_be_visible()
        keep(page, "calibration-result")
