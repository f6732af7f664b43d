"""The figures of one investigation as a page, as JSON and as CSV; the numbers are `havenline.figures` alone."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from havenline.figures import ROUNDING, FiguresError, Funnel, percent, to_csv, to_json

from ..gates import Act, gate
from ..models import Investigation
from ..queries.figures import funnel_of


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of "from posted to law"; `width` is its share of the first bar, `share` the one that is printed."""

    label: str
    count: int
    width: str
    share: Decimal | None
    share_of: str
    depth: int


@dataclass(frozen=True, slots=True)
class LawRow:
    label: str
    law: str
    count: int
    of_confirmed: Decimal | None
    of_assessed: Decimal | None


@gate(Act.SEE_FIGURES)
def figures(request: HttpRequest, reference: str) -> HttpResponse:
    funnel = _funnel(reference)
    if isinstance(funnel, FiguresError):
        page = {"reference": reference, "reason": str(funnel)}
        return render(request, "havenline/figures_refused.html", page, status=409)
    return render(
        request,
        "havenline/figures.html",
        {
            "reference": reference,
            "funnel": funnel,
            "labels": funnel.labels,
            "bars": _bars(funnel),
            "laws": _laws(funnel),
            "settled_by": [(how, count, percent(count, funnel.assessed)) for how, count in funnel.settled_by.items()],
            "assessed_of_posted": percent(funnel.assessed, funnel.posted),
            "confirmed_of_assessed": percent(funnel.confirmed, funnel.assessed),
            "without_view_of_assessed": percent(funnel.settled_without_view, funnel.assessed),
            "rounding": ROUNDING,
        },
    )


@gate(Act.SEE_FIGURES)
def figures_json(request: HttpRequest, reference: str) -> HttpResponse:
    funnel = _funnel(reference)
    if isinstance(funnel, FiguresError):
        return JsonResponse({"error": str(funnel)}, status=409)
    response = JsonResponse(to_json(funnel), json_dumps_params={"indent": 2, "ensure_ascii": False})
    response.headers["Content-Disposition"] = f'attachment; filename="{reference}.json"'
    return response


@gate(Act.SEE_FIGURES)
def figures_csv(request: HttpRequest, reference: str) -> HttpResponse:
    funnel = _funnel(reference)
    if isinstance(funnel, FiguresError):
        return HttpResponse(f"{funnel}\n", status=409, content_type="text/plain; charset=utf-8")
    response = HttpResponse(to_csv(funnel), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{reference}.csv"'
    return response


def _funnel(reference: str) -> Funnel | FiguresError:
    """Records that contradict each other yield the reason instead of a figure."""
    investigation = Investigation.objects.filter(reference=reference).first()
    if investigation is None:
        raise Http404
    try:
        return funnel_of(investigation)
    except FiguresError as refused:
        return refused


def _bars(funnel: Funnel) -> list[Bar]:
    whole = max(funnel.posted, funnel.selected, 1)
    of_posted, of_assessed, of_confirmed = _("of posted"), _("of assessed"), _("of confirmed")

    def bar(label: str, count: int, total: int, share_of: str, depth: int) -> Bar:
        width = f"{min(100.0, 100 * count / whole):.3f}%"
        return Bar(label, count, width, percent(count, total) if share_of else None, share_of, depth)

    return [
        bar(_("Posted"), funnel.posted, 0, "", 0),
        bar(_("Selected"), funnel.selected, funnel.posted, of_posted, 0),
        bar(_("Assessed"), funnel.assessed, funnel.posted, of_posted, 0),
        bar(_("Confirmed"), funnel.confirmed, funnel.assessed, of_assessed, 1),
        *(bar(one.law.label, one.count, funnel.confirmed, of_confirmed, 2) for one in funnel.by_class),
    ]


def _laws(funnel: Funnel) -> list[LawRow]:
    """Not criminal and undetermined are cells of their own; neither has a share of the confirmed."""
    words, assessed = funnel.labels.statuses, funnel.assessed
    return [
        *(
            LawRow(
                one.law.label,
                one.law.law,
                one.count,
                percent(one.count, funnel.confirmed),
                percent(one.count, assessed),
            )
            for one in funnel.by_class
        ),
        LawRow(words.not_criminal, "", funnel.not_criminal, None, percent(funnel.not_criminal, assessed)),
        LawRow(words.undetermined, "", funnel.undetermined, None, percent(funnel.undetermined, assessed)),
    ]
