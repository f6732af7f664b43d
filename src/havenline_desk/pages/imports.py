"""Imports for the lead: from the inbox of this server, proposed and started here, run by a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _

from ..actions.ask_import import ask_import, by_name, propose_import, resume_import, stop_import
from ..actions.import_collection import ImportRefused
from ..agreement import ProposalRefused
from ..gates import Act, Denied, gate
from ..inbox import InboxRefused
from ..models import ImportJob, Investigation, Person
from ..queries.imports import agreed_proposal, import_page, investigation_of, job_lines, job_of
from ..queries.proposals import proposal_of
from .layout import Notice, leave_notice, person_of
from .numbers import whole_number

_FIELDS = ("source", "collection", "manifest", "approved_by")
_REFUSED = (ImportRefused, InboxRefused, ProposalRefused, Denied)


@gate(Act.SEE_IMPORTS)
def imports(request: HttpRequest, reference: str) -> HttpResponse:
    return _page(request, _found(reference))


@gate(Act.SEE_IMPORTS)
def progress(request: HttpRequest, reference: str) -> HttpResponse:
    """The part of the page that changes while an import runs."""
    lines = job_lines(_found(reference), at=timezone.now())
    return render(request, "havenline/_jobs.html", {"jobs": lines, "reference": reference})


@gate(Act.IMPORT_COLLECTION)
def start(request: HttpRequest, reference: str) -> HttpResponse:
    """Propose the import; where the house lets the approver be named, start it."""
    investigation = _found(reference)
    if request.method != "POST":
        return redirect("imports", reference)
    typed = {name: request.POST.get(name, "").strip() for name in _FIELDS}
    collection = typed["collection"] or typed["source"]
    problems = _problems(typed, collection)
    if problems:
        return _page(request, investigation, typed, problems)
    person, at = person_of(request), timezone.now()
    source, manifest = typed["source"], typed["manifest"]
    try:
        if by_name():
            approver = Person.objects.get(name=typed["approved_by"])
            ask_import(
                investigation,
                source=source,
                collection=collection,
                manifest=manifest,
                approved_by=approver,
                asked_by=person,
                at=at,
            )
            leave_notice(request, Notice.IMPORT_ASKED)
        else:
            propose_import(investigation, source=source, collection=collection, manifest=manifest, person=person, at=at)
            leave_notice(request, Notice.PROPOSED)
    except _REFUSED as refused:
        return _page(request, investigation, typed, {_field_of(refused): str(refused)})
    return redirect("imports", reference)


@gate(Act.IMPORT_COLLECTION)
def start_agreed(request: HttpRequest, reference: str) -> HttpResponse:
    """Start what another person agreed to."""
    investigation = _found(reference)
    if request.method != "POST":
        return redirect("imports", reference)
    person, at = person_of(request), timezone.now()
    name = request.POST.get("proposal", "")
    said, proposal = agreed_proposal(name, investigation, person, at=at), proposal_of(name, person, at=at)
    if said is None or proposal is None:
        return _page(request, investigation, {}, {"agreed": _("there is no such proposal of yours any more")})
    try:
        ask_import(
            investigation,
            source=said.source,
            collection=said.collection,
            manifest=said.manifest,
            proposal=proposal,
            asked_by=person,
            at=at,
        )
    except _REFUSED as refused:
        return _page(request, investigation, {}, {"agreed": str(refused)})
    leave_notice(request, Notice.IMPORT_ASKED)
    return redirect("imports", reference)


@gate(Act.IMPORT_COLLECTION)
def resume(request: HttpRequest, reference: str) -> HttpResponse:
    return _verb(
        request,
        reference,
        lambda job: resume_import(job, asked_by=person_of(request), at=timezone.now()),
        Notice.IMPORT_ASKED,
    )


@gate(Act.STOP_IMPORT)
def stop(request: HttpRequest, reference: str) -> HttpResponse:
    return _verb(
        request,
        reference,
        lambda job: stop_import(job, said_by=person_of(request), at=timezone.now()),
        Notice.IMPORT_STOPPED,
    )


def _verb(request: HttpRequest, reference: str, verb: Callable[[ImportJob], object], notice: Notice) -> HttpResponse:
    investigation = _found(reference)
    if request.method != "POST":
        return redirect("imports", reference)
    job = job_of(investigation, whole_number(request.POST.get("job", "")))
    if job is None:
        return _page(request, investigation, {}, {"job": _("there is no such import; nothing was changed")})
    try:
        verb(job)
    except _REFUSED as refused:
        return _page(request, investigation, {}, {"job": str(refused)})
    leave_notice(request, notice)
    return redirect("imports", reference)


def _problems(typed: Mapping[str, str], collection: str) -> dict[str, str]:
    problems = {}
    if not typed["source"] or not typed["source"].isprintable():
        problems["source"] = _("choose what is to be imported")
    if len(collection) > 200 or not collection.isprintable():
        problems["collection"] = _("a name has up to 200 characters, all of which can be printed")
    if not typed["manifest"].isprintable():
        problems["manifest"] = _("choose a manifest from the list, or none")
    known = typed["approved_by"].isprintable() and Person.objects.filter(name=typed["approved_by"]).exists()
    if by_name() and not known:
        problems["approved_by"] = _("choose who approved this import")
    return problems


def _field_of(refused: Exception) -> str:
    """Beside which field a refusal belongs."""
    said = str(refused)
    if "manifest" in said:
        return "manifest"
    return "approved_by" if isinstance(refused, Denied) or "another person" in said else "source"


def _found(reference: str) -> Investigation:
    investigation = investigation_of(reference)
    if investigation is None:
        raise Http404
    return investigation


def _page(
    request: HttpRequest,
    investigation: Investigation,
    typed: Mapping[str, str] | None = None,
    problems: Mapping[str, str] | None = None,
) -> HttpResponse:
    page = {
        "page": import_page(investigation, person_of(request), at=timezone.now()),
        "reference": investigation.reference,
        "by_name": by_name(),
        "typed": typed or {},
        "problems": problems or {},
    }
    return render(request, "havenline/import.html", page, status=422 if problems else 200)
