"""Sign in, start, assess blind and twice by keyboard, see the figures: in a real browser, with pictures kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import SCREENSHOTS, Desk

SIZE = {"width": 1440, "height": 900}
REFERENCE = "DEMO-2023-09"


@contextmanager
def signed_in(browser: Browser, desk: Desk, name: str, **options: object) -> Iterator[Page]:
    context = browser.new_context(viewport=SIZE, **options)  # type: ignore[arg-type]
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    # A form that is refused answers 422, which the browser calls an error and the desk does not.
    page.on(
        "console", lambda said: faults.append(said.text) if said.type == "error" and " 422 " not in said.text else None
    )
    page.goto(desk.address)
    page.locator("#name").fill(name)
    page.locator("#password").fill(desk.passwords[name])
    page.keyboard.press("Enter")
    page.wait_for_url(desk.address)
    yield page
    assert faults == [], "nothing is refused by the content security policy and no script fails"
    context.close()


def keep(page: Page, name: str) -> None:
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def figures(browser: Browser, desk: Desk) -> dict[str, int]:
    with signed_in(browser, desk, "lead") as page:
        answer = page.request.get(f"{desk.address}figures/{REFERENCE}.json")
        assert answer.ok
        loaded: dict[str, int] = json.loads(answer.text())
        return loaded


def start(page: Page) -> None:
    """Press Start, whatever it is called in the language of the page."""
    page.locator('form[action="/work/start"] button').press("Enter")


def go_on(page: Page) -> None:
    """Leave the page of the held submission at once; return when the page that follows takes keys."""
    expect(page.locator("#undo")).to_be_visible()
    start(page)
    expect(page.locator("#undo")).to_have_count(0)
    page.wait_for_load_state()


def show_step(page: Page, step: int) -> None:
    expect(page.locator("body.with-script #assessment")).to_be_visible()
    for wanted in range(1, step + 1):
        page.keyboard.press(".")
        expect(page.locator(f'button[data-step="{wanted}"]')).to_have_attribute("aria-pressed", "true")
        expect(page.locator("#screen img")).to_be_visible()


def answer_every_question(page: Page, *, first: str = "1") -> None:
    """Press `first`, then 1 for each open question; every near picture gets its own look and is called the same."""
    page.keyboard.press(first)
    presses = 1
    open_questions = page.locator("fieldset.question:visible:not(:has(input:checked))")
    while open_questions.count():
        page.keyboard.press("1")
        presses += 1
        assert presses < 20, "a question does not take its answer"
    near = page.locator("li.tile.near").count()
    if near:
        page.keyboard.press("n")
    for _ in range(near):  # an answer goes on to the next open one by itself
        page.keyboard.press("g")
        expect(page.locator("#screen img")).to_be_visible()
        page.keyboard.press("y")
        expect(page.locator("#screen img")).to_have_count(0)


def submit(page: Page) -> None:
    """Submit, go on at once, and wait until the next item is there."""
    held = page.locator('#assessment input[name="assignment"]')
    before = held.get_attribute("value")
    assert before is not None
    page.keyboard.press("Control+Enter")
    go_on(page)
    expect(held).not_to_have_value(before)


def assess_one(page: Page, *, first: str = "1") -> None:
    show_step(page, 2)
    answer_every_question(page, first=first)
    submit(page)


def test_the_demonstration_says_where_and_who(desk: Desk) -> None:
    assert set(desk.passwords) == {
        *("first-analyst", "second-analyst", "adjudicator", "senior", "lead"),
        *("liaison", "welfare", "admin", "auditor"),
    }
    assert "NOT AS PROMISED" not in desk.printed
    assert (desk.home / "passwords.json").stat().st_mode & 0o077 == 0


@pytest.mark.timeout(240)
def test_two_blind_assessments_by_keyboard_reach_the_figures(browser: Browser, desk: Desk) -> None:
    before = figures(browser, desk)
    context = browser.new_context(viewport=SIZE)
    page = context.new_page()
    page.goto(desk.address)
    keep(page, "1-sign-in")
    context.close()

    with signed_in(browser, desk, "first-analyst") as page:
        keep(page, "2-home-analyst")
        page.get_by_role("button", name="Start").press("Enter")
        page.wait_for_url("**/work")
        expect(page.locator("body.with-script #assessment")).to_be_visible()
        assert page.locator("#screen img").count() == 0, "nothing loads by itself"
        keep(page, "3-workspace-nothing")
        for step, name in enumerate(("mosaic", "small-blurred-grey", "grey", "full"), start=1):
            page.keyboard.press(".")
            expect(page.locator(f'button[data-step="{step}"]')).to_have_attribute("aria-pressed", "true")
            expect(page.locator("#screen img")).to_be_visible()
            keep(page, f"4-workspace-step-{step}-{name}")
        page.keyboard.press("Space")
        page.keyboard.press("Space")
        expect(page.locator("#screen img")).to_have_count(0)
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
        keep(page, "5-keys")
        page.keyboard.press("Escape")
        page.keyboard.press("Control+Enter")
        expect(page.locator("#left")).not_to_be_empty()
        answer_every_question(page)
        keep(page, "6-workspace-answered")
        submit(page)
        keep(page, "7-next-item")
        assess_one(page)

    with signed_in(browser, desk, "second-analyst", color_scheme="dark") as page:
        page.get_by_role("button", name="Start").press("Enter")
        page.wait_for_url("**/work")
        show_step(page, 2)
        keep(page, "8-workspace-dark")
        answer_every_question(page)
        submit(page)
        assess_one(page, first="2")

    with signed_in(browser, desk, "adjudicator") as page:
        page.get_by_role("button", name="Start").press("Enter")
        page.wait_for_url("**/work")
        expect(page.get_by_role("heading", name="Where two people differed")).to_be_visible()
        expect(page.locator("fieldset.question input:checked")).to_have_count(0)
        show_step(page, 2)
        keep(page, "9-third-person")

    after = figures(browser, desk)
    assert after["assessed"] > before["assessed"]
    assert after["waiting"] < before["waiting"]
    assert after["posted"] == before["posted"]


def test_the_lead_sees_the_investigation_and_its_figures(browser: Browser, desk: Desk) -> None:
    with signed_in(browser, desk, "lead") as page:
        keep(page, "9-home-lead")
        page.goto(f"{desk.address}investigations/{REFERENCE}")
        page.screenshot(path=SCREENSHOTS / "10-investigation.png", full_page=True)
        page.goto(f"{desk.address}figures/{REFERENCE}")
        expect(page.get_by_role("heading", name=REFERENCE).or_(page.locator("h1"))).to_be_visible()
        page.screenshot(path=SCREENSHOTS / "11-figures.png", full_page=True)
    with signed_in(browser, desk, "lead", color_scheme="dark") as page:
        page.goto(f"{desk.address}figures/{REFERENCE}")
        page.screenshot(path=SCREENSHOTS / "12-figures-dark.png", full_page=True)


@pytest.mark.parametrize("name", ["welfare", "admin", "liaison", "auditor", "adjudicator"])
def test_every_role_has_a_home_that_says_what_comes_next(browser: Browser, desk: Desk, name: str) -> None:
    with signed_in(browser, desk, name) as page:
        expect(page.locator("main")).not_to_be_empty()
        keep(page, f"13-home-{name}")


def test_pages_hold_at_narrow_width_and_double_zoom(browser: Browser, desk: Desk) -> None:
    with signed_in(browser, desk, "first-analyst") as page:
        page.goto(f"{desk.address}work")
        for name, width, height in (("narrow", 720, 900), ("zoom-200", 720, 450)):
            page.set_viewport_size({"width": width, "height": height})
            overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert overflow <= 0, f"{name}: the page scrolls sideways"
            page.screenshot(path=SCREENSHOTS / f"14-workspace-{name}.png", full_page=True)
