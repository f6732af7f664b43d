"""Each table as one chart, by one of two forms: bars for one dimension, a grid of shaded cells for two.

Both print the number beside its mark, so that nothing is told by colour alone; the one hue runs from light to dark,
which holds for every kind of colour vision and in grey. A hidden cell is drawn as such, never as nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from havenline.figures.definitions import Statistics
from havenline.figures.tables import FigureTable, TableRow

FONT = "Source Sans Pro"
HIDDEN = "[c]"
"""What stands in place of a hidden count, as statistical offices write it (confidential)."""
ACCENT, WASH, INK, MUTED = "#1f6b66", "#eef4f3", "#1b2421", "#55605b"
SHADES = ["#e4efed", "#0f4f4b"]
_LONG = 46
_CLIP = re.compile(r"(?<=[\"#])clip\d+(?=[\")])")
DARK, ON_DARK, ON_LIGHT = 0.70, "#ffffff", "#000000"
"""From this share of the largest cell on, a number stands in white."""


def number(count: int | None) -> str:
    """A count as it is printed everywhere, or the mark of a hidden one."""
    return HIDDEN if count is None else f"{count:,}"


def font_folder() -> Path:
    """Where the face of charts and of the PDF lies. Raises FiguresError without the extra `publish`."""
    import font_source_sans_pro

    return Path(font_source_sans_pro.__file__).parent / "files"


def chart_of(table: FigureTable, statistics: Statistics) -> bytes | None:
    """Return a table as SVG; None where it has no cell with anything in it. Byte-identical for the same table."""
    if not any(row.count for row in table.rows):
        return None
    definition = table.definition
    grid = definition.each or len(definition.by) > 1
    spec = _grid(table, statistics) if grid else _bars(table, statistics)
    _fonts()
    import vl_convert

    drawn: str = vl_convert.vegalite_to_svg(json.dumps(spec, sort_keys=True), allowed_base_urls=[])
    # Vega numbers its clips through the life of the process.
    seen = {clip: f"{definition.id}-{place}" for place, clip in enumerate(dict.fromkeys(_CLIP.findall(drawn)))}
    svg = _CLIP.sub(lambda found: seen[found[0]], drawn)
    says = escape(f"{definition.title}. {definition.says}.")
    label = escape(definition.title, {'"': "&quot;"})
    head, rest = svg.split(">", 1)
    told = f'role="img" aria-label="{label}"><title>{escape(definition.title)}</title><desc>{says}</desc>'
    return f"{head} {told}{rest}\n".encode()


def text_of(table: FigureTable) -> str:
    """The same as one sentence a row, for whoever does not see the chart."""
    lines = [f"{table.definition.title}: {table.definition.says}, in {table.definition.unit.value}s."]
    for row in table.rows:
        if row.count is None:
            lines.append(f"{', '.join(row.labels)}: hidden.")
            continue
        shares = [
            f"{share} % of {whole.of}"
            for share, whole in zip(row.shares, table.definition.shares, strict=True)
            if share is not None
        ]
        said = f" ({'; '.join(shares)})" if shares else ""
        lines.append(f"{', '.join(row.labels)}: {row.count:,}{said}.")
    return "\n".join(lines) + "\n"


@lru_cache(maxsize=1)
def _fonts() -> None:
    import vl_convert

    vl_convert.register_font_directory(str(font_folder()))


def _bars(table: FigureTable, statistics: Statistics) -> dict[str, Any]:
    import altair as alt

    ordered = [row for row in table.rows if row.depth or len(table.rows) == 1]
    if table.definition.by[0] == "step":
        ordered = list(table.rows)
    if statistics.dimension(table.definition.scope, table.definition.by[0]).ranked:
        ordered.sort(key=lambda row: (row.count is None, -(row.count or 0)))
    names = [_in_two(row.labels[0]) for row in ordered]
    step = 38 if any("\n" in name for name in names) else 27
    values = [
        {"name": name, "count": row.count or 0, "said": _said(row, table)}
        for name, row in zip(names, ordered, strict=True)
    ]
    most = max(row.count or 0 for row in ordered) or 1
    base = alt.Chart(alt.InlineData(values=values)).encode(
        y=alt.Y(
            "name:N",
            sort=None,
            title=None,
            axis=alt.Axis(labelLimit=0, ticks=False, domain=False, labelPadding=8, labelExpr=_BROKEN),
        ),
        x=alt.X("count:Q", axis=None, scale=alt.Scale(domain=[0, most * 1.45], nice=False)),
    )
    bars = base.mark_bar(color=ACCENT, height=18, cornerRadiusEnd=2)
    said = base.mark_text(align="left", dx=6, color=INK).encode(text="said:N")
    return _dressed(alt.layer(bars, said).properties(width=460, height=alt.Step(step)))


def _said(row: TableRow, table: FigureTable) -> str:
    """The count, and the share of the nearest whole."""
    shares = [
        (share, whole.of) for share, whole in zip(row.shares, table.definition.shares, strict=True) if share is not None
    ]
    if not shares:
        return number(row.count)
    share, of = max(shares)
    return f"{number(row.count)} · {share} % of {of}"


def _grid(table: FigureTable, statistics: Statistics) -> dict[str, Any]:
    import altair as alt

    definition = table.definition
    across, down, values = _grid_cells(table, statistics)
    most = max(one["count"] for one in values) or 1
    for one in values:
        one["dark"] = one["count"] >= DARK * most
    lines = max(label.count("\n") for label in across)
    step = 38 if any("\n" in side for side in down) else 27
    base = alt.Chart(alt.InlineData(values=values)).encode(
        x=alt.X(
            "across:N",
            sort=across,
            title=None if definition.each else statistics.dimension(definition.scope, definition.by[1]).title,
            axis=alt.Axis(
                orient="top",
                labelAngle=0,
                ticks=False,
                domain=False,
                labelLimit=0,
                labelExpr=_BROKEN,
                labelPadding=6 + 15 * lines,
            ),
        ),
        y=alt.Y(
            "down:N",
            sort=down,
            title=None,
            axis=alt.Axis(labelLimit=0, ticks=False, domain=False, labelPadding=8, labelExpr=_BROKEN),
        ),
    )
    tiles = base.mark_rect(stroke="white", strokeWidth=2).encode(
        color=alt.Color("count:Q", scale=alt.Scale(domain=[0, most], range=SHADES), legend=None)
    )
    said = base.mark_text().encode(
        text="said:N",
        color=alt.condition(alt.datum.dark, alt.value(ON_DARK), alt.value(ON_LIGHT)),
    )
    return _dressed(alt.layer(tiles, said).properties(width=alt.Step(88), height=alt.Step(step)))


_BROKEN = "split(datum.label, '\\n')"


def _grid_cells(table: FigureTable, statistics: Statistics) -> tuple[list[str], list[str], list[dict[str, Any]]]:
    """Labels across, labels down, and a value for each pair of them that the table has; sums are left out."""
    definition = table.definition
    across: dict[str, None] = {}
    down: dict[str, None] = {}
    values = []
    for row in table.rows:
        if definition.each:
            (name, code), label = next(iter(row.codes.items())), row.labels[0]
            side = statistics.dimension(definition.scope, name).title
            if statistics.dimension(definition.scope, name).nodes[code].children:
                continue
        else:
            codes = row.codes
            if any(statistics.dimension(definition.scope, name).nodes[code].children for name, code in codes.items()):
                continue
            side, label = row.labels
        label = _wrapped(label)
        side = _in_two(side)
        across[label] = down[side] = None
        values.append({"across": label, "down": side, "count": row.count or 0, "said": number(row.count)})
    return list(across), list(down), values


def _wrapped(label: str, width: int = 14) -> str:
    """The label in lines of about so many letters."""
    lines = [""]
    for word in label.split():
        if lines[-1] and len(lines[-1]) + len(word) >= width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


def _in_two(label: str) -> str:
    """The label of a row, in two lines where it is long."""
    if len(label) <= _LONG:
        return label
    return label.replace(" (", "\n(", 1) if " (" in label else _wrapped(label, max(_LONG, len(label) // 2 + 8))


def _dressed(chart: Any) -> dict[str, Any]:
    font: Mapping[str, Any] = {"font": FONT, "fontSize": 13}
    axis = {"labelFont": FONT, "labelFontSize": 13, "labelColor": INK, "titleFont": FONT, "titleColor": MUTED}
    spec: dict[str, Any] = (
        chart.configure(font=FONT, background="white", padding=4)
        .configure_axis(**axis, titleFontSize=12, titleFontWeight="normal", grid=False)
        .configure_text(**font)
        .configure_view(stroke=None)
        .to_dict()
    )
    return spec
