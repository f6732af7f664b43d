"""Pages of the lead, the administrator, the auditor and the welfare lead: used by keyboard, with pictures kept."""

from __future__ import annotations

import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from .conftest import SCREENSHOTS, Desk
from .test_the_whole_way import REFERENCE, show_step, signed_in


def keep_whole(page: Page, name: str) -> None:
    """The whole page, light and dark; nothing of it is wider than the window."""
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
    page.emulate_media(color_scheme="dark")
    page.screenshot(path=SCREENSHOTS / f"{name}-dark.png", full_page=True)
    page.emulate_media(color_scheme="light")
    overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert overflow <= 0, name


@pytest.mark.timeout(600)
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


@pytest.mark.timeout(600)
def test_the_administrator_proposes_a_role_and_the_lead_agrees_and_takes_it_away(browser: Browser, desk: Desk) -> None:
    with signed_in(browser, desk, "admin") as page:
        page.get_by_role("main").get_by_role("link", name="People", exact=True).press("Enter")
        expect(page.get_by_role("heading", name="Enrolled")).to_be_visible()
        keep_whole(page, "34-people")
        page.get_by_role("link", name="liaison", exact=True).press("Enter")
        page.get_by_role("button", name="Propose it").press("Enter")
        expect(page.locator("#problem-role")).to_have_text("Choose the role.")
        page.get_by_label("Role", exact=True).select_option("senior")
        page.get_by_role("button", name="Propose it").press("Enter")
        expect(page.get_by_text("senior analyst, by admin, good until")).to_be_visible()
        page.get_by_label("Sign-in name, once more").fill("liason")
        page.get_by_role("button", name="Close it for good").press("Enter")
        expect(page.locator("#problem-again")).to_be_visible()
        expect(page.get_by_label("Sign-in name, once more")).to_have_value("liason")
        keep_whole(page, "35-person")
    with signed_in(browser, desk, "lead") as page:
        page.goto(f"{desk.address}proposals")
        line = page.get_by_role("region", name="Give liaison the role senior analyst.")
        line.get_by_role("button", name="Agree").press("Enter")
        line.get_by_role("button", name="Carry out").press("Enter")
        expect(line.get_by_text("carried out", exact=False)).to_be_visible()
        page.goto(f"{desk.address}people/liaison")
        expect(page.get_by_text("counts from")).to_be_visible()
        page.get_by_role("button", name="Take the role senior analyst away").press("Enter")
        expect(page.get_by_text("Taken away, at once.")).to_be_visible()
        expect(page.get_by_text("counts from")).to_have_count(0)


@pytest.mark.timeout(600)
def test_the_auditor_reads_the_log_and_narrows_it(browser: Browser, desk: Desk) -> None:
    with signed_in(browser, desk, "auditor") as page:
        page.get_by_role("link", name="Audit log").press("Enter")
        expect(page.get_by_role("heading", name="Entries, the newest first")).to_be_visible()
        expect(page.get_by_role("cell", name="looked into the audit log").first).to_be_visible()
        keep_whole(page, "36-audit-log")
        page.get_by_label("Act").select_option("role_granted")
        page.get_by_label("Day (UTC)").fill("last week")
        page.get_by_role("button", name="Show", exact=True).press("Enter")
        expect(page.locator("#problem-day")).to_be_visible()
        expect(page.get_by_label("Day (UTC)")).to_have_value("last week")
        expect(page.get_by_label("Act")).to_have_value("role_granted")
        page.get_by_label("Day (UTC)").fill("")
        page.get_by_role("button", name="Show", exact=True).press("Enter")
        expect(page.get_by_role("cell", name="granted a role").first).to_be_visible()
        expect(page.get_by_role("cell", name="signed in")).to_have_count(0)
        keep_whole(page, "37-audit-log-narrowed")


@pytest.mark.timeout(600)
def test_the_lead_imports_from_the_inbox_and_sees_how_far_it_is(browser: Browser, desk: Desk) -> None:
    with signed_in(browser, desk, "lead") as page:
        page.goto(f"{desk.address}investigations/{REFERENCE}")
        page.get_by_role("link", name="Import", exact=True).press("Enter")
        expect(page.get_by_role("heading", name="Start an import")).to_be_visible()
        keep_whole(page, "38-import-empty-inbox")
        drawn = desk.home / "inbox" / "drawn-later"
        drawn.mkdir()
        for number in range(40):
            Image.new("RGB", (320, 240), (number * 6, 90, 160)).save(drawn / f"{number}.png")
        (drawn / "letter.txt").write_text("a text among pictures")
        page.reload()
        page.get_by_role("button", name="Start it").press("Enter")
        expect(page.locator("#problem-source")).to_have_text("Choose what is to be imported.")
        page.get_by_label("What", exact=True).select_option("drawn-later")
        page.get_by_label("Name of the collection").fill("drawn later")
        page.get_by_role("button", name="Start it").press("Enter")
        expect(page.locator("#problem-approved_by")).to_be_visible()
        expect(page.get_by_label("What", exact=True)).to_have_value("drawn-later")
        expect(page.get_by_label("Name of the collection")).to_have_value("drawn later")
        page.get_by_label("Approved by").select_option("senior")
        page.get_by_role("button", name="Start it").press("Enter")
        expect(page.get_by_text("Asked for: a process of its own")).to_be_visible()
        keep_whole(page, "39-import-asked")
        expect(page.locator('.job[data-state="finished"]')).to_be_visible(timeout=180_000)
        expect(page.get_by_text("41 of 41 files")).to_be_visible()
        page.locator("summary", has_text="unknown_kind").press("Enter")
        expect(page.get_by_text("letter.txt")).to_be_visible()
        keep_whole(page, "40-import-finished")


@pytest.mark.timeout(600)
def test_care_is_declared_by_the_welfare_lead_and_shown_to_people_alone(browser: Browser, desk: Desk) -> None:
    with signed_in(browser, desk, "welfare") as page:
        page.get_by_role("link", name="Care", exact=True).press("Enter")
        page.get_by_label("Proposed after views").fill("fifty")
        page.get_by_role("button", name="Let this hold").press("Enter")
        expect(page.locator("#problem-views")).to_be_visible()
        expect(page.get_by_label("Proposed after views")).to_have_value("fifty")
        keep_whole(page, "41-care-refused")
        for label, value in (
            ("Proposed after views", "1"),
            ("Proposed after minutes", "45"),
            ("Due after views", "900"),
            ("Due after minutes", "600"),
            ("Minutes of a pause", "10"),
        ):
            page.get_by_label(label).fill(value)
        page.get_by_role("button", name="Let this hold").press("Enter")
        expect(page.get_by_text("It holds from now on.")).to_be_visible()
        page.get_by_label("Who", exact=True).fill("The counselling service")
        page.get_by_label("Telephone").fill("020 7946 0003")
        page.get_by_role("button", name="Show this").press("Enter")
        expect(page.get_by_text("It holds from now on.")).to_be_visible()
        page.get_by_role("link", name="Exposure of people").press("Enter")
        page.get_by_label("Views in an hour").fill("none")
        page.get_by_role("button", name="Lower it").press("Enter")
        expect(page.locator("#problem-person")).to_be_visible()
        expect(page.locator("#problem-per_hour")).to_be_visible()
        keep_whole(page, "42-lower-a-limit-refused")
        page.get_by_label("Whose").select_option("second-analyst")
        page.get_by_label("Views in an hour").fill("119")
        page.get_by_role("button", name="Lower it").press("Enter")
        expect(page.get_by_text("Their limit is lower now")).to_be_visible()
    with signed_in(browser, desk, "first-analyst") as page:
        page.get_by_role("link", name="Your shift").press("Enter")
        page.get_by_label(REFERENCE).press("Space")
        page.get_by_role("button", name="Keep it so today").press("Enter")
        expect(page.get_by_text("Kept so, for twelve hours.")).to_be_visible()
        expect(page.get_by_label(REFERENCE)).to_be_checked()
        expect(page.get_by_text("020 7946 0003")).to_be_visible()
        keep_whole(page, "43-shift")
        page.get_by_label(REFERENCE).press("Space")
        page.get_by_role("button", name="Keep it so today").press("Enter")
        expect(page.get_by_label(REFERENCE)).not_to_be_checked()
        page.goto(f"{desk.address}work")
        start = page.get_by_role("button", name="Start")
        if start.count():
            start.press("Enter")
        expect(page.locator("body.with-script")).to_be_visible()
        show_step(page, 1)
        page.goto(f"{desk.address}work")
        expect(page.get_by_text("A good moment for a break.")).to_be_visible()
        page.screenshot(path=SCREENSHOTS / "44-break-proposed.png")
        page.goto(f"{desk.address}shift")
        page.get_by_role("button", name="End my shift").press("Enter")
        expect(page.get_by_role("heading", name="Your shift is over")).to_be_visible()
        expect(page.get_by_text("020 7946 0003")).to_be_visible()
        keep_whole(page, "45-shift-over")
        page.goto(f"{desk.address}work")
        expect(page.get_by_label("Sign-in name")).to_be_visible()
    with signed_in(browser, desk, "welfare") as page:  # the pages of the other tests are as they were
        page.goto(f"{desk.address}exposure/care")
        page.get_by_label("Proposed after views").fill("900")
        page.get_by_role("button", name="Let this hold").press("Enter")
        expect(page.get_by_text("It holds from now on.")).to_be_visible()
