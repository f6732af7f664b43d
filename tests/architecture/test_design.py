"""The stylesheet is as docs/design.md says: tokens, values, contrast; it names no physical side and moves nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CSS = (ROOT / "src/havenline_desk/static/havenline/desk.css").read_text()
PAGE = (ROOT / "docs/design.md").read_text()
ROOTS = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
BELOW = re.sub(r":root \{.*?\}", "", CSS, flags=re.DOTALL)


def tokens(block: str) -> dict[str, str]:
    return dict(re.findall(r"(--[\w-]+): ([^;]+);", block))


LIGHT = tokens(ROOTS[0])
DARK = LIGHT | tokens(ROOTS[1])


def rows() -> dict[str, tuple[str, str]]:
    return {
        name: (light, dark)
        for name, light, dark in re.findall(r"^\| `(--[\w-]+)` \| (.*?) \| (.*?) \| ", PAGE, re.MULTILINE)
    }


def test_the_page_names_every_token_and_no_other() -> None:
    assert set(rows()) == set(LIGHT)
    assert set(tokens(ROOTS[1])) <= set(LIGHT)


def test_the_page_has_the_values_of_the_stylesheet() -> None:
    for name, (light, dark) in rows().items():
        if light.startswith("`"):
            assert light == f"`{LIGHT[name]}`", name
        assert dark == (f"`{DARK[name]}`" if DARK[name] != LIGHT[name] else "the same"), name


def test_every_token_is_used() -> None:
    assert [name for name in LIGHT if f"var({name})" not in CSS] == []
    assert set(re.findall(r"var\((--[\w-]+)", CSS)) == set(LIGHT)


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, as WCAG 2.2 defines it."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_it_is_written_on(scheme: str) -> None:
    values = LIGHT if scheme == "light" else DARK
    pairs = [
        (text, ground)
        for text, grounds in re.findall(r"^\| `(--[\w-]+)` \| ((?:`--[\w-]+` ?)+)\|$", PAGE, re.MULTILINE)
        for ground in re.findall(r"--[\w-]+", grounds)
    ]
    assert len(pairs) > 20
    assert {
        pair: contrast(values[pair[0]], values[pair[1]])
        for pair in pairs
        if contrast(values[pair[0]], values[pair[1]]) < 4.5
    } == {}
    for seen in ("--edge", "--accent"):
        for ground in ("--surface", "--ground"):
            assert contrast(values[seen], values[ground]) >= 3, (seen, ground)


def test_no_colour_stands_outside_the_tokens() -> None:
    """But shadows, what lies behind a dialog, and the white that a QR code needs in the dark as well."""
    assert set(re.findall(r"#[0-9a-f]{3,8}\b", BELOW)) == {"#0005", "#0007", "#0b0e0dcc", "#fff"}


def test_no_side_is_named_left_or_right() -> None:
    names = r"(?:margin|padding|border)-(?:left|right)|(?<![\w-])(?:left|right)\s*:"
    values = r"(?:text-align|float|clear)\s*:\s*(?:left|right)"
    assert re.findall(f"{names}|{values}", CSS) == []


def test_nothing_moves() -> None:
    moving = re.findall(r"(?:transition|animation)[\w-]*\s*:\s*([^;}]+)|@keyframes (\w+)", CSS)
    assert {words[0].replace("!important", "").strip() or words[1] for words in moving} <= {"none"}


def test_there_is_one_stylesheet_and_no_style_in_a_page() -> None:
    assert [path.name for path in (ROOT / "src").rglob("*.css")] == ["desk.css"]
    templates = (ROOT / "src/havenline_desk/templates").rglob("*.html")
    assert [path.name for path in templates if re.search(r"<style|\sstyle=", path.read_text())] == []
