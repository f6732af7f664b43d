"""Every page of the desk, as each role that may open it: axe-core in light and dark, double zoom, focus, motion.

Pages are not listed here: every route is asked as every role, and what answers with a page is looked over. A route that
takes a new parameter needs its value in VALUES. Pages that only follow an act (the open item, its menus, what was just
submitted, refusals) are reached by doing it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import URLPattern
from playwright.sync_api import Browser, Page, expect

from havenline_desk.sites.urls import urlpatterns

from .conftest import SCREENSHOTS, Desk
from .test_the_whole_way import REFERENCE, answer_every_question, show_step, signed_in, start

VALUES = {
    "<str:reference>": REFERENCE,
    "<str:framework_id>": "demo.shapes",
    "<str:version>": "1",
    "<str:token>": "unknown",
    "<str:provider_id>": "organisation",
    "<str:name>": "first-analyst",
    "<str:record>": "unknown",
    "<path:file>": "index.html",
    "<str:batch>": "unknown",
}
NO_PAGE = {"ready", "reveal"}
"""Text for programs, and the pictures themselves."""

ROLES = ("lead", "first-analyst", "welfare", "senior", "adjudicator", "liaison", "admin", "auditor")
RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "rules": {"target-size": {"enabled": True}},  # 24 px; axe leaves it out unless it is asked for
}
IN_THE_DARK = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
"""The one rule that the scheme of colours can break."""
SOAK = os.environ.get("HAVENLINE_SOAK") == "1"
REFUSED_ON = {"queue", "frameworks", "proposals/new", "exposure/care", "people/first-analyst"}
"""Pages whose forms are sent empty in the normal run; the long form takes those of every page."""
TRANSLATED = {"", "shift", "proposals/new", "frameworks", "quality"}
"""Pages that are looked over in Spanish and Arabic in the normal run."""
EMPTY = """form => { for (const field of form.elements) {
    if (field.type !== 'hidden' && !['submit', 'button', 'file'].includes(field.type)) field.value = '';
  } form.submit(); }"""
ZOOMED = ((720, 450), (640, 360))
"""What 1440 x 900 and 1280 x 720 leave at 200 %, in CSS pixels."""

CUT = """() => { const HIDDEN = '.visually-hidden, svg, dialog:not([open])';
  return [...document.querySelectorAll('body *')].filter(element => {
    const style = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    if (box.width < 2 || !element.checkVisibility({visibilityProperty: true}) || element.closest(HIDDEN)) return false;
    const scrolls = element.parentElement.closest('.card.table, .tiles, .screen, .tall') !== null;
    return !scrolls && (box.right > innerWidth + 1 || box.left < -1)
        || style.overflowX === 'hidden' && element.scrollWidth > element.clientWidth + 1;
}).map(element => element.tagName + '.' + element.className); }"""

UNSEEN_FOCUS = """() => [...document.querySelectorAll(
    'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]')]
    .filter(element => element.checkVisibility({visibilityProperty: true}) && !element.disabled)
    .filter(element => {
        element.focus();
        if (document.activeElement !== element) return false;
        const shown = element.closest('.option') ?? element;
        const style = getComputedStyle(shown);
        return style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 2;
    }).map(element => element.outerHTML.slice(0, 90))"""


@dataclass(frozen=True)
class Found:
    """A page, who opens it, and where."""

    role: str
    path: str


def paths() -> Iterator[tuple[str, str]]:
    """The name of each route and an address that it answers."""
    for route in urlpatterns:
        assert isinstance(route, URLPattern)
        path = str(route.pattern)
        for parameter, value in VALUES.items():
            path = path.replace(parameter, value)
        assert "<" not in path, f"name a value for the parameters of {path} in VALUES"
        yield str(route.name), path


def pages_of(page: Page, desk: Desk, role: str, seen: set[str]) -> list[Found]:
    """Whatever answers a GET of this role with a page of its own, but those that another role has shown already."""
    found = []
    for name, path in paths():
        if name in NO_PAGE or path in {"sign-out"} or (path in seen and path):
            continue
        answer = page.request.get(f"{desk.address}{path}", max_redirects=0)
        whole = answer.headers.get("content-type", "").startswith("text/html") and "<!doctype" in answer.text()
        if answer.status == 200 and whole:  # parts of a page are looked at in it
            seen.add(path)
            found.append(Found(role, path))
    return found


def faults(page: Page) -> list[str]:
    """Each rule of axe-core that is broken, and where, in light and in dark."""
    broken = []
    for scheme, rules in (("light", RULES), ("dark", IN_THE_DARK)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        for fault in Axe().run(page, options=rules).response["violations"]:
            broken += [f"{scheme} {fault['id']}: {node['html'][:120]}" for node in fault["nodes"]]
    return broken


def look_over(page: Page) -> list[str]:
    """Everything that this file asks of a page as it stands there now; the window is left at its size."""
    size = page.viewport_size
    assert size is not None
    broken = faults(page)
    for width, height in ZOOMED:
        page.set_viewport_size({"width": width, "height": height})
        if page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") > 0:
            broken.append(f"{width} px: scrolls sideways")
        broken += [f"{width} px: cut {one}" for one in page.evaluate(CUT)]
    page.set_viewport_size(size)
    page.keyboard.press("Shift")  # focus by script is shown as focus by keyboard from here on
    return broken + [f"no visible focus: {one}" for one in page.evaluate(UNSEEN_FOCUS)]


@pytest.mark.timeout(600)
def test_every_page_of_every_role_is_sound(browser: Browser, desk: Desk) -> None:
    seen: set[str] = set()
    broken = []
    for role in ROLES:
        with signed_in(browser, desk, role) as page:
            for found in pages_of(page, desk, role, seen):
                page.goto(f"{desk.address}{found.path}")
                page.emulate_media(reduced_motion="reduce")
                broken += [f"{role} /{found.path} {wrong}" for wrong in look_over(page)]
            if role == "lead":  # one record of many, by the link to it
                page.goto(f"{desk.address}investigations/{REFERENCE}/records")
                page.locator('main a[href*="/records/"]').first.click()
                page.wait_for_url("**/records/*")
                broken += [f"{role} {page.url} {wrong}" for wrong in look_over(page)]
            if role == "senior":  # a release that is proposed, by the link to it
                page.goto(f"{desk.address}releases")
                page.get_by_role("button", name="Propose to release them").first.click()
                page.locator('main a[href*="/releases/"]').first.click()
                page.wait_for_url("**/releases/*")
                broken += [f"{role} {page.url} {wrong}" for wrong in look_over(page)]
    assert not broken, "\n".join(broken)
    assert {"releases", "partners"} <= seen
    assert {"", "work", "exposure/people", "exposure/team", f"investigations/{REFERENCE}", "own-sign-in"} <= seen


@pytest.mark.timeout(600)
@pytest.mark.parametrize("language", ["en", "ar"])
def test_pages_of_strangers_and_refusals_are_sound(browser: Browser, desk: Desk, language: str) -> None:
    context = browser.new_context(locale=language)
    page = context.new_page()
    broken = []
    for path in ("sign-in", "sign-in/recovery", "nowhere"):
        page.goto(f"{desk.address}{path}")
        broken += [f"/{path} {wrong}" for wrong in look_over(page)]
    page.goto(f"{desk.address}sign-in")
    page.locator("#name").fill("nobody")
    page.locator("#password").fill("not a password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    broken += [f"refused {wrong}" for wrong in look_over(page)]
    context.close()
    assert not broken, "\n".join(broken)


@pytest.mark.timeout(3600 if SOAK else 600)
def test_pages_that_refuse_a_form_are_sound(browser: Browser, desk: Desk) -> None:
    """Each form that the server checks is sent empty: the refusal stands beside its field, and the page is sound."""
    broken, refused, seen = [], 0, set[str]()
    for role in ROLES if SOAK else ("lead", "welfare", "admin"):
        with signed_in(browser, desk, role) as page:
            for found in pages_of(page, desk, role, seen):
                if not SOAK and found.path not in REFUSED_ON:
                    continue
                page.goto(f"{desk.address}{found.path}")
                for number in range(page.locator("main form[novalidate]").count()):
                    page.goto(f"{desk.address}{found.path}")
                    with page.expect_navigation():
                        page.locator("main form[novalidate]").nth(number).evaluate(EMPTY)
                    refused += page.locator("main .problem, main [role=alert]").count() > 0
                    broken += [f"{role} /{found.path} {wrong}" for wrong in faults(page)]
    assert not broken, "\n".join(broken)
    assert refused > 8, "the forms were refused"


@pytest.mark.timeout(3600 if SOAK else 600)
@pytest.mark.parametrize("language", ["es", "ar"])
def test_pages_in_other_languages_are_sound(browser: Browser, desk: Desk, language: str) -> None:
    broken, seen = [], set[str]()
    for role in ROLES if SOAK else ("senior", "lead"):
        with signed_in(browser, desk, role, locale=language) as page:
            expect(page.locator("html")).to_have_attribute("lang", language)
            for found in pages_of(page, desk, role, seen):
                if SOAK or found.path in TRANSLATED:
                    page.goto(f"{desk.address}{found.path}")
                    broken += [f"{role} /{found.path} {wrong}" for wrong in faults(page)]
    assert not broken, "\n".join(broken)
    assert seen >= {"proposals/new", "frameworks", "quality"}


@pytest.mark.timeout(600)
def test_the_workspace_is_sound_in_each_of_its_states(browser: Browser, desk: Desk) -> None:
    broken: list[str] = []

    def state(page: Page, name: str) -> None:
        broken.extend(f"{name} {wrong}" for wrong in look_over(page))

    with signed_in(browser, desk, "first-analyst") as page:
        page.goto(f"{desk.address}work")
        if not page.locator("#assessment").count():
            start(page)
        show_step(page, 1)
        page.emulate_media(forced_colors="active")
        page.screenshot(path=SCREENSHOTS / "16-workspace-forced-colors.png")
        page.emulate_media(forced_colors="none")
        state(page, "open item")
        for key, menu in (("s", "#skip-menu"), ("e", "#escalate-menu")):
            page.keyboard.press(key)
            expect(page.locator(f"{menu}[open]")).to_be_visible()
            state(page, menu)
            page.locator(f"{menu} summary").press("Enter")
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
        state(page, "keys")
        page.keyboard.press("Escape")
        answer_every_question(page)
        page.keyboard.press("Control+Enter")
        expect(page.locator("#undo")).to_be_visible()
        page.locator("#take-back").press("Enter")
        expect(page.locator("body.with-script #assessment")).to_be_visible()
        state(page, "taken back")
        page.keyboard.press("s")  # so that nothing stays open in the name of the analyst
        page.locator("#skip-menu input[type=radio]").first.check()
        page.locator("#skip-menu button").press("Enter")
        expect(page.locator("#assessment")).to_have_count(0)
    assert not broken, "\n".join(broken)
