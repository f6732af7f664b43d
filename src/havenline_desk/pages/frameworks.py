"""Frameworks and schemes, their questions and rules, what each says of an investigation; importing and adding one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _

from havenline.frameworks import Framework, FrameworkError, LineProblem, SchemeError

from .. import law
from ..actions.configure_framework import ConfigurationRefused, configure_framework
from ..actions.import_framework import FrameworkImportRefused, import_framework
from ..gates import Act, acts_of, gate
from ..models import Investigation, Person
from ..queries.law import addable, framework_lines, framework_page, law_columns
from .layout import Notice, leave_notice, person_of
from .told import told

MOST_BYTES = 1 << 20
_FORMATS = {"csv": "CSV", "json": "JSON", "toml": "TOML"}
_TYPED = ("format", "id", "version", "title", "jurisdiction", "effective", "text")


@gate(Act.SEE_FRAMEWORKS)
def frameworks(request: HttpRequest) -> HttpResponse:
    return _frameworks(request, {"effective": f"{timezone.now():%Y-%m-%d}"}, {})


@gate(Act.IMPORT_FRAMEWORK)
def import_scheme(request: HttpRequest) -> HttpResponse:
    """Load a new version from a file or from what was typed; every faulty line is named, and nothing is lost."""
    if request.method != "POST":
        return redirect("frameworks")
    typed = {name: request.POST.get(name, "") for name in _TYPED}
    typed |= {name: text.strip() for name, text in typed.items() if name != "text"}
    problems: dict[str, str] = {}
    file = request.FILES.get("file")
    if isinstance(file, UploadedFile):
        _take_file(file, typed, problems)
    if typed["format"] not in _FORMATS:
        problems["format"] = _("choose what the file is")
    if "file" not in problems and (not typed["text"].strip() or "\x00" in typed["text"] or "\\u0000" in typed["text"]):
        problems["text"] = _("choose a file, or paste what is in it")
    effective = _day(typed["effective"])
    if typed["format"] == "csv":
        problems |= {
            name: _("a CSV does not say what it is; say it here") for name in ("id", "version") if not typed[name]
        }
        if effective is None:
            problems["effective"] = _("a day, as 2026-03-31")
    if problems:
        return _frameworks(request, typed, problems)
    try:
        made = _imported(typed, effective, by=person_of(request), at=timezone.now())
    except SchemeError as fault:
        return _frameworks(
            request, typed, {"text": _("nothing was imported; these lines are to be corrected")}, fault.problems
        )
    except (FrameworkError, FrameworkImportRefused) as fault:
        return _frameworks(request, typed, {"text": told(fault)})
    leave_notice(request, Notice.FRAMEWORK_IMPORTED)
    return redirect("framework", made.id, made.version)


@gate(Act.SEE_FRAMEWORKS)
def framework(request: HttpRequest, framework_id: str, version: str) -> HttpResponse:
    page = framework_page(framework_id, version)
    if page is None:
        raise Http404
    return render(request, "havenline/framework.html", {"page": page, "framework": page.framework})


@gate(Act.SEE_FIGURES)
def law_of(request: HttpRequest, reference: str) -> HttpResponse:
    return _law(request, reference)


@gate(Act.CONFIGURE_FRAMEWORKS)
def add_framework(request: HttpRequest, reference: str) -> HttpResponse:
    """Derive the investigation under one more version; what is settled is derived at once."""
    investigation = Investigation.objects.filter(reference=reference).first()
    if investigation is None:
        raise Http404
    if request.method != "POST":
        return redirect("law", reference)
    chosen = request.POST.get("framework", "")
    if chosen not in {f"{ref.id} {ref.version}" for ref in addable(investigation, at=timezone.now())}:
        return _law(request, reference, chosen, _("choose the framework"))
    name, version = chosen.split(" ", 1)
    try:
        configure_framework(investigation, name, version, by=person_of(request), at=timezone.now())
    except (ConfigurationRefused, FrameworkError) as refused:
        return _law(request, reference, chosen, told(refused))
    leave_notice(request, Notice.FRAMEWORK_ADDED)
    return redirect("law", reference)


def _take_file(file: UploadedFile[Any], typed: dict[str, str], problems: dict[str, str]) -> None:
    """What is in the file takes the place of what was typed, so that the page can give it back."""
    ending = (file.name or "").rpartition(".")[2].lower()
    typed["format"] = ending if ending in _FORMATS else typed["format"]
    content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        problems["file"] = _("larger than 1 MiB; nothing was read")
        return
    try:
        typed["text"] = content.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = content[: fault.start].count(b"\n") + 1
        problems["file"] = _("line %(line)s is not UTF-8; save it as UTF-8") % {"line": line}


def _imported(typed: Mapping[str, str], effective: dt.date | None, *, by: Person, at: dt.datetime) -> Framework:
    origin = _FORMATS[typed["format"]]
    if typed["format"] != "csv" or effective is None:
        document = law.document_of(typed["text"], toml=typed["format"] == "toml", origin=origin)
    else:
        document = law.scheme_of(
            typed["text"],
            name=typed["id"],
            version=typed["version"],
            title=typed["title"],
            jurisdiction=typed["jurisdiction"],
            effective_from=effective,
            origin=origin,
        )
    return import_framework(document, by=by, at=at, origin=origin)


def _day(text: str) -> dt.date | None:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return None


def _frameworks(
    request: HttpRequest, typed: Mapping[str, str], problems: Mapping[str, str], lines: Sequence[LineProblem] = ()
) -> HttpResponse:
    page = {
        "lines": framework_lines(),
        "may_import": Act.IMPORT_FRAMEWORK in acts_of(person_of(request), at=timezone.now()),
        "formats": _FORMATS.items(),
        "typed": typed,
        "problems": problems,
        "faults": lines,
    }
    return render(request, "havenline/frameworks.html", page, status=422 if problems else 200)


def _law(request: HttpRequest, reference: str, chosen: str = "", problem: str = "") -> HttpResponse:
    investigation = Investigation.objects.filter(reference=reference).first()
    if investigation is None:
        raise Http404
    at = timezone.now()
    may_add = Act.CONFIGURE_FRAMEWORKS in acts_of(person_of(request), at=at)
    page = {
        "reference": reference,
        "columns": law_columns(investigation, at=at),
        "may_add": may_add,
        "addable": addable(investigation, at=at) if may_add else (),
        "chosen": chosen,
        "problem": problem,
    }
    return render(request, "havenline/law.html", page, status=422 if problem else 200)
