"""A funnel as JSON, as CSV and as a table for the terminal; each names its records, unit, period, framework
and rule.

All three are for use inside the house: small cells are not suppressed (practice 21), and they say so.
"""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from havenline.figures.funnel import ROUNDING, Funnel, percent

AUDIENCE = "internal"
_WARNING = "Internal: small cells are not suppressed. Do not publish this table as it is."
_WIDTH = 80
_NAME, _COUNT, _SHARE = 40, 10, 10


def to_json(funnel: Funnel) -> dict[str, Any]:
    """Return the figures as JSON-able data; counts are integers, shares per cent with one decimal.

    Figures that are withheld, and shares of nothing, are null; `withheld` then says why.
    """
    assessed, confirmed = funnel.assessed, funnel.confirmed
    return {
        "posted": funnel.posted,
        "not_selected": funnel.not_selected,
        "selected": funnel.selected,
        "waiting": funnel.waiting,
        "assessed": assessed,
        "confirmed": confirmed,
        "not_criminal": funnel.not_criminal,
        "undetermined": funnel.undetermined,
        "realistic": funnel.realistic,
        "prohibited": funnel.prohibited,
        "analysts": funnel.analysts,
        "hours": _number(funnel.hours),
        "seconds_per_item": _number(funnel.seconds_per_item),
        "withheld": funnel.withheld,
        "settled_by": dict(funnel.settled_by),
        "settled_without_view": funnel.settled_without_view,
        "shares": {
            "selected_of_posted": _number(percent(funnel.selected, funnel.posted)),
            "confirmed_of_assessed": _number(percent(confirmed, assessed)),
            "not_criminal_of_assessed": _number(percent(funnel.not_criminal, assessed)),
            "undetermined_of_assessed": _number(percent(funnel.undetermined, assessed)),
            "realistic_of_assessed": _number(percent(funnel.realistic, assessed)),
            "realistic_of_confirmed": _number(percent(funnel.realistic, confirmed)),
            "prohibited_of_assessed": _number(percent(funnel.prohibited, assessed)),
            "prohibited_of_confirmed": _number(percent(funnel.prohibited, confirmed)),
        },
        "by_law": [
            {
                "class": one.class_id,
                "label": one.law.label,
                "law": one.law.law,
                "group": one.law.group,
                "count": one.count,
                "share_of_assessed": _number(percent(one.count, assessed)),
                "share_of_confirmed": _number(percent(one.count, confirmed)),
            }
            for one in funnel.by_class
        ],
        "table": _named(funnel) | {"rounding": ROUNDING},
    }


def to_csv(funnel: Funnel) -> str:
    """Return the figures in long form, one per row, each row naming its whole table; lines end with LF."""
    named = _named(funnel)
    out = io.StringIO()
    columns = ["figure", "value", "share_of_posted", "share_of_assessed", "share_of_confirmed", "law", "note"]
    writer = csv.DictWriter(out, [*columns, *named], restval="", lineterminator="\n")
    writer.writeheader()
    for row in _rows(funnel):
        writer.writerow(named | row)
    return out.getvalue()


def to_text(funnel: Funnel) -> str:
    """Return the figures as a table for a terminal of 80 columns, ending with a line feed."""
    labels = funnel.labels
    return "\n".join(
        [
            *_wrapped(labels.dataset),
            *_wrapped(
                f"investigation {labels.investigation} · unit: {labels.unit} · period: {labels.period} · "
                f"framework {labels.framework} {labels.framework_version} · review plan: {labels.review_plan}"
            ),
            *_wrapped(f"rule {labels.rule}"),
            "",
            *_tree(funnel),
            "",
            *_laws(funnel),
            *_work(funnel),
            "",
            *_wrapped(f"Rounding: {ROUNDING}."),
            *_wrapped(_WARNING),
            "",
        ]
    )


def _named(funnel: Funnel) -> dict[str, str]:
    labels = funnel.labels
    return {
        "investigation": labels.investigation,
        "dataset": labels.dataset,
        "unit": labels.unit,
        "period": labels.period,
        "framework": f"{labels.framework} {labels.framework_version}",
        "rule": labels.rule,
        "review_plan": labels.review_plan,
        "audience": AUDIENCE,
    }


def _rows(funnel: Funnel) -> Iterator[dict[str, object]]:
    posted, assessed, confirmed = funnel.posted, funnel.assessed, funnel.confirmed
    yield {"figure": "posted", "value": posted}
    for name in ("not_selected", "selected", "waiting"):
        count = getattr(funnel, name)
        yield {"figure": name, "value": count, "share_of_posted": _cell(percent(count, posted))}
    yield {"figure": "assessed", "value": assessed, "share_of_posted": _cell(percent(assessed, posted))}
    for name in ("confirmed", "not_criminal", "undetermined"):
        count = getattr(funnel, name)
        yield {"figure": name, "value": count, "share_of_assessed": _cell(percent(count, assessed))}
    groups = [(name, getattr(funnel, name), "") for name in ("realistic", "prohibited")]
    classes = [(f"class:{one.class_id}", one.count, one.law.law) for one in funnel.by_class]
    for name, count, law in groups + classes:
        yield {
            "figure": name,
            "value": count,
            "share_of_assessed": _cell(percent(count, assessed)),
            "share_of_confirmed": _cell(percent(count, confirmed)),
            "law": law,
        }
    for how, count in funnel.settled_by.items():
        yield {
            "figure": f"settled_by:{how}",
            "value": count,
            "share_of_assessed": _cell(percent(count, assessed)),
        }
    without = funnel.settled_without_view
    share = _cell(percent(without, assessed))
    yield {"figure": "settled_without_view", "value": without, "share_of_assessed": share}
    note = funnel.withheld or ""
    yield {"figure": "analysts", "value": funnel.analysts, "unit": "person"}
    yield {"figure": "hours", "value": _cell(funnel.hours), "unit": "hour", "note": note}
    seconds = _cell(funnel.seconds_per_item)
    yield {"figure": "seconds_per_item", "value": seconds, "unit": "second", "note": note}


def _tree(funnel: Funnel) -> Iterator[str]:
    yield f"{'':<{_NAME}}{'count':>{_COUNT}}{'of':>{_SHARE}}{'of':>{_SHARE}}{'of':>{_SHARE}}".rstrip()
    heads = f"{'posted':>{_SHARE}}{'assessed':>{_SHARE}}{'confirmed':>{_SHARE}}"
    yield f"{'':<{_NAME + _COUNT}}{heads}"
    words, posted, assessed = funnel.labels.statuses, funnel.posted, funnel.assessed
    yield from _line("", "", "posted", posted)
    yield from _line("├ ", "│ ", "not selected", funnel.not_selected, posted=posted)
    yield from _line("└ ", "  ", "selected", funnel.selected, posted=posted)
    yield from _line("  ├ ", "  │ ", "waiting", funnel.waiting, posted=posted)
    yield from _line("  └ ", "    ", "assessed", assessed, posted=posted)
    yield from _line("    ├ ", "    │ ", words.not_criminal, funnel.not_criminal, assessed=assessed)
    yield from _line("    ├ ", "    │ ", words.undetermined, funnel.undetermined, assessed=assessed)
    confirmed = f"confirmed: {words.criminal}"
    yield from _line("    └ ", "      ", confirmed, funnel.confirmed, assessed=assessed)
    for one in funnel.by_class:
        last = one is funnel.by_class[-1]
        group = one.law.group or ""
        named_already = group in one.law.label.lower()
        name = one.law.label if named_already else f"{one.law.label} ({group})"
        yield from _line(
            "      └ " if last else "      ├ ",
            "        " if last else "      │ ",
            name,
            one.count,
            assessed=assessed,
            confirmed=funnel.confirmed,
        )


def _line(
    first: str,
    rest: str,
    name: str,
    count: int,
    *,
    posted: int | None = None,
    assessed: int | None = None,
    confirmed: int | None = None,
) -> Iterator[str]:
    *above, last = textwrap.wrap(name, _NAME - len(first)) or [""]
    leads = [first] + [rest] * len(above)
    for lead, words in zip(leads, above, strict=False):
        yield lead + words
    shares = "".join(
        f"{'' if whole is None else _share(percent(count, whole)):>{_SHARE}}" for whole in (posted, assessed, confirmed)
    )
    yield f"{leads[-1] + last:<{_NAME}}{count:>{_COUNT},}{shares}".rstrip()


def _laws(funnel: Funnel) -> Iterator[str]:
    for one in funnel.by_class:
        yield from _wrapped(f"{one.law.label}: {one.law.law}")


def _work(funnel: Funnel) -> Iterator[str]:
    how = ", ".join(f"{name} {count:,}" for name, count in funnel.settled_by.items()) or "nothing yet"
    yield from _wrapped(f"Settled by: {how}; without a new view by a person: {funnel.settled_without_view:,}")
    if funnel.hours is None:
        yield from _wrapped(f"People who assessed: {funnel.analysts:,}; {funnel.withheld}")
        return
    per_item = "" if funnel.seconds_per_item is None else f" ({funnel.seconds_per_item} s per item)"
    yield from _wrapped(f"People who assessed: {funnel.analysts:,}, in {funnel.hours:,} hours{per_item}")


def _wrapped(text: str) -> list[str]:
    # A name with control characters must not reach a terminal as commands.
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return textwrap.wrap(printable, _WIDTH, subsequent_indent="  ") or [""]


def _share(value: Decimal | None) -> str:
    return "–" if value is None else f"{value} %"


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _cell(value: Decimal | None) -> str:
    return "" if value is None else str(value)
