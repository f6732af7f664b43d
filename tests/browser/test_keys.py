"""How many keys an item takes, counted by the browser that gets them."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from .conftest import Desk
from .test_the_whole_way import answer_every_question, show_step, signed_in

MOST_KEYS = 9
COUNTING = """
addEventListener("keydown", (event) => {
  if (!event.isTrusted) return;
  const pressed = JSON.parse(sessionStorage.getItem("pressed") ?? "[]");
  sessionStorage.setItem("pressed", JSON.stringify([...pressed, event.key]));
}, true);
"""


def pressed(page: Page) -> list[str]:
    """The keys that went down since the count was cleared; Ctrl, which is held for another, is none of its own."""
    keys: list[str] = page.evaluate("JSON.parse(sessionStorage.getItem('pressed') ?? '[]')")
    return [key for key in keys if key != "Control"]


def start(page: Page) -> None:
    """Press the key that Start waits for, and come to a workspace whose keys are bound."""
    expect(page.get_by_role("button", name="Start")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("body.with-script #assessment")).to_be_visible()


@pytest.mark.timeout(240)
def test_an_item_without_near_pictures_takes_nine_keys_from_start_to_submit(browser: Browser, desk: Desk) -> None:
    with signed_in(browser, desk, "second-analyst") as page:
        page.add_init_script(COUNTING)
        page.goto(f"{desk.address}work")
        if not page.locator("#assessment").count():
            start(page)
        for _ in range(12):  # what is open already, and stacks, are done without counting
            show_step(page, 1)
            answer_every_question(page)
            page.keyboard.press("Control+Enter")
            expect(page.locator("#undo")).to_be_visible()
            page.evaluate("sessionStorage.removeItem('pressed')")
            start(page)
            if not page.locator("li.tile.near").count():
                break
        expect(page.locator("li.tile.near")).to_have_count(0)
        expect(page.locator(".facts-head")).to_contain_text("demo.shapes")

        show_step(page, 1)
        answer_every_question(page)
        page.keyboard.press("Control+Enter")
        expect(page.locator("#undo")).to_be_visible()
        keys = pressed(page)
        assert keys == ["Enter", ".", *["1"] * (len(keys) - 3), "Enter"]
        assert len(keys) - 3 >= 4, "every question got its key"
        assert len(keys) <= MOST_KEYS, keys
