"""Every page that stands in the navigation, and the pages behind it, looked over by axe-core in light and dark."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from .conftest import Desk
from .test_the_whole_way import REFERENCE, signed_in

PLACES: dict[str, tuple[str, ...]] = {
    "first-analyst": ("", "calibration", "escalations", "exposure", "shift", "own-sign-in", "frameworks"),
    "lead": (
        "",
        "queue",
        "queue/leases",
        "queue/disagreements",
        "people",
        "people/first-analyst",
        "proposals",
        "investigations",
        f"investigations/{REFERENCE}",
        f"investigations/{REFERENCE}/agreement",
        f"investigations/{REFERENCE}/import",
        f"investigations/{REFERENCE}/law",
        f"figures/{REFERENCE}",
        "frameworks/demo.shapes/1",
        "exposure/team",
    ),
    "welfare": ("", "exposure/people", "exposure/care"),
    "admin": ("", "people", "people/first-analyst"),
    "auditor": ("", "people/lead", "audit", "audit?day=yesterday"),
}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PLACES)
def test_axe_finds_nothing_on_any_page(browser: Browser, desk: Desk, name: str, scheme: str) -> None:
    with signed_in(browser, desk, name, color_scheme=scheme) as page:
        found = {place: found_by_axe(page, f"{desk.address}{place}") for place in PLACES[name]}
        assert {place: faults for place, faults in found.items() if faults} == {}


def found_by_axe(page: Page, address: str) -> list[str]:
    """Each rule that is broken, and where."""
    answer = page.goto(address)
    assert answer is not None
    assert answer.status == (422 if "yesterday" in address else 200), address
    faults = Axe().run(page, options=RULES).response["violations"]
    return [f"{fault['id']}: {node['target'][0]}" for fault in faults for node in fault["nodes"]]
