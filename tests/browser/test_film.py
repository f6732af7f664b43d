"""A film on the desk in a real browser: what it is stands there first, then a sheet of its frames, step by step."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from havenline.testing.films import film

from .conftest import Desk
from .test_the_whole_way import answer_every_question, keep, signed_in

SECONDS = 20


def havenline(desk: Desk, *words: str | Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("HAVENLINE_", "DJANGO_"))}
    command = [Path(sys.executable).with_name("havenline"), *words, "--by", "lead", "--home", desk.home]
    done = subprocess.run(command, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.timeout(600)
def test_a_film_is_said_first_and_then_seen_as_one_sheet(browser: Browser, desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "moving shapes.mp4").write_bytes(film(seconds=SECONDS))
    ends = dt.datetime.now(dt.UTC).date() + dt.timedelta(days=30)
    opened = ["--source", "forum", "--posted", "1", "--legal-basis", "drawn films", "--expires", str(ends)]
    havenline(desk, "investigation", "create", "FILMS-1", *opened, "--framework", "demo.shapes")
    havenline(
        desk, "investigation", "import", "FILMS-1", tmp_path / "films", "--approved-by", "senior", "--workers", "1"
    )
    havenline(desk, "queue", "urgency", "FILMS-1", "first")
    with signed_in(browser, desk, "second-analyst") as page:
        page.goto(f"{desk.address}work")
        expect(page.get_by_role("button", name="Start")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("body.with-script #assessment")).to_be_visible()
        before = page.locator("aside.before")
        expect(before).to_contain_text("film (MP4)")
        expect(before).to_contain_text(f"about {SECONDS} seconds")
        expect(before).to_contain_text("one sheet of up to 16 frames, no sound")
        expect(page.locator("#subject")).to_have_text("The film, as one sheet of its frames")
        expect(page.locator("#screen img")).to_have_count(0)
        expect(page.locator("video, audio")).to_have_count(0)
        keep(page, "20-film-before")
        for step in (1, 2, 3, 4):
            page.keyboard.press(".")
            expect(page.locator(f'button[data-step="{step}"]')).to_have_attribute("aria-pressed", "true")
            expect(page.locator("#screen img")).to_be_visible()
            keep(page, f"20-film-step-{step}")
        answer_every_question(page)
        page.keyboard.press("Control+Enter")
        expect(page.locator("#undo")).to_be_visible()
