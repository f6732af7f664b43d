"""Acts that take two people: what waits for me, what each would do, agree to one, carry it out, cancel it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from havenline.vocabulary import HavenlineError

from .. import factors
from ..actions.approve import approve
from ..actions.cancel import cancel
from ..actions.carry_out import carry_out
from ..agreement import ProposalRefused
from ..audit import AuditDamaged, AuditUnavailable
from ..gates import Act, gate
from ..models import Proposal, Way
from ..queries.proposals import ON_HOST, proposal_lines, proposal_of
from .layout import Notice, leave_notice, person_of


@gate(Act.SEE_PROPOSALS)
def proposals(request: HttpRequest) -> HttpResponse:
    return _page(request, {})


@gate(Act.APPROVE_PROPOSAL)
def approve_proposal(request: HttpRequest) -> HttpResponse:
    """Agree to the bytes whose digest the form names; whoever has a passkey signs just these with it."""

    def agree(proposal: Proposal) -> None:
        person, at, digest = person_of(request), timezone.now(), request.POST.get("digest", "")
        evidence = ""
        if Way.PASSKEY in factors.ways_of(person):
            if digest != proposal.digest:
                raise ProposalRefused("this is not what was proposed; look at it again. Nothing was agreed to")
            signed = factors.finish_step_up(request, request.POST.get("answer", ""), bytes.fromhex(digest), at=at)
            evidence = signed.to_json()
        approve(proposal, person=person, digest=digest, evidence=evidence, at=at)

    return _verb(request, agree, Notice.AGREED)


@gate(Act.CARRY_OUT_PROPOSAL)
def carry_out_proposal(request: HttpRequest) -> HttpResponse:
    def do(proposal: Proposal) -> None:
        if Act(proposal.act) in ON_HOST:
            raise ProposalRefused("this is carried out by a command on the host; nothing was done")
        carry_out(proposal, person=person_of(request), at=timezone.now())

    return _verb(request, do, Notice.CARRIED_OUT)


@gate(Act.CANCEL_PROPOSAL)
def cancel_proposal(request: HttpRequest) -> HttpResponse:
    return _verb(
        request, lambda proposal: cancel(proposal, person=person_of(request), at=timezone.now()), Notice.CANCELLED
    )


def _verb(request: HttpRequest, verb: Callable[[Proposal], None], notice: Notice) -> HttpResponse:
    if request.method != "POST":
        return redirect("proposals")
    name = request.POST.get("proposal", "")
    proposal = proposal_of(name, person_of(request), at=timezone.now())
    if proposal is None:
        return _page(request, {"refused": "that proposal does not wait for you; nothing was done"}, status=403)
    try:
        verb(proposal)
    except (AuditUnavailable, AuditDamaged):
        raise
    except HavenlineError as refused:
        return _page(request, {"refused_at": name, "refused": str(refused)})
    leave_notice(request, notice)
    return redirect("proposals")


def _page(request: HttpRequest, more: Mapping[str, Any], *, status: int = 422) -> HttpResponse:
    person, at = person_of(request), timezone.now()
    page = {"lines": proposal_lines(person, at=at), "passkey": Way.PASSKEY in factors.ways_of(person)} | dict(more)
    return render(request, "havenline/proposals.html", page, status=status if more else 200)
