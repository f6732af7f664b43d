"""Agreement for the lead and the quality lead: by fact, pool and week."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from ..gates import Act, gate
from ..models import Investigation
from ..queries.agreement import agreement_page


@gate(Act.SEE_AGREEMENT)
def agreement(request: HttpRequest, reference: str) -> HttpResponse:
    investigation = Investigation.objects.filter(reference=reference).first()
    if investigation is None:
        raise Http404
    page = agreement_page(investigation, at=timezone.now())
    return render(request, "havenline/agreement.html", {"reference": reference, "page": page})
