"""Collect what the desk says to people, and keep the catalogues: `python -m tests.messages.collect`.

Messages come from templates (by Django's own parser), from `gettext` in Python, from the sentences of refusals, from
labels of enumerations that pages show, and from the questions and answers of the frameworks that are the house's own.
A message that is new gets an empty translation; one that is gone is dropped. Nothing is guessed (no fuzzy entries).
"""

from __future__ import annotations

import ast
import datetime as dt
import io
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
DESK = SOURCE / "havenline_desk"
TEMPLATES = DESK / "templates"
LOCALE = DESK / "locale"
LANGUAGES = ("ar", "es")
HOUSE_FRAMEWORKS = ("facts/1", "data/demo.shapes/1", "data/demo.colours/1")
"""Frameworks whose words are this project's. The words of a law or of another body's list stay as published."""

Message = str | tuple[str, str]
_KEYWORDS = {"gettext": None, "gettext_lazy": None, "_": None, "ngettext": (1, 2), "ngettext_lazy": (1, 2)}
_REFUSALS = ("Refused", "Unchanged", "Denied", "EvidenceError")
_SAID_ON_PAGES = (
    *("actions/approve.py", "actions/cancel.py", "actions/carry_out.py", "actions/change_factors.py"),
    *("actions/correct_outcome.py", "actions/propose.py"),
    *("actions/escalate.py", "actions/grant_reveal.py", "actions/prove_person.py", "actions/set_budget.py"),
    *("actions/start_calibration.py", "actions/submit_assessment.py", "actions/look_at_text.py", "agreement.py"),
    *("actions/keep_match_alarms.py", "actions/keep_webhooks.py"),
    *("actions/look_over_sample.py", "actions/ask_for_pair.py", "actions/keep_incoming.py", "actions/keep_partners.py"),
    *("actions/publish_edition.py", "actions/record_deconfliction.py", "actions/release_entries.py"),
    *("actions/withdraw_entries.py", "evidence.py", "factors/*.py", "incoming.py", "pages/*.py"),
)
"""Where refusals are raised that a page shows; those that only a command prints stay English."""
_PLURAL_FORMS = {
    # As in Django's own Arabic catalogue: none, one, two, few (3-10), many (11-99), others.
    "ar": "nplurals=6; plural=n==0 ? 0 : n==1 ? 1 : n==2 ? 2 :"
    " n%100>=3 && n%100<=10 ? 3 : n%100>=11 && n%100<=99 ? 4 : 5;",
    "es": "nplurals=2; plural=(n != 1);",
}
_UNDATED = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_HEADER = """\
msgid ""
msgstr ""
"Language: {language}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"
"Plural-Forms: {plural_forms}\\n"
"""
"""Nothing that differs from one writing to the next: no date, no program, no name."""


@cache
def collected() -> dict[Message, set[str]]:
    """Each message and the files it comes from, as paths below `src`."""
    found: dict[Message, set[str]] = {}
    for message, where in (
        *_of_templates(),
        *_of_python(),
        *_of_refusals(),
        *_of_labels(),
        *_of_frameworks(),
    ):
        found.setdefault(message, set()).add(where)
    return found


def catalogue(language: str) -> Catalog:
    """The translations into `language` as they are kept."""
    with _po(language).open("rb") as file:
        return read_po(file, locale=language)


def compiled(language: str) -> bytes:
    """What the .mo of `language` must hold: the same at each call, so that a test can compare it."""
    kept = catalogue(language)
    kept.creation_date = kept.revision_date = _UNDATED
    out = io.BytesIO()
    write_mo(out, kept)
    return out.getvalue()


def mo(language: str) -> Path:
    return _po(language).with_suffix(".mo")


def _po(language: str) -> Path:
    return LOCALE / language / "LC_MESSAGES" / "django.po"


def _of_templates() -> Iterator[tuple[Message, str]]:
    from django.template.base import Node, Template
    from django.template.engine import Engine
    from django.templatetags.i18n import BlockTranslateNode, TranslateNode

    engine = Engine(
        dirs=[str(TEMPLATES)],
        builtins=["havenline_desk.pages.told"],
        libraries={"i18n": "django.templatetags.i18n", "static": "django.templatetags.static"},
    )
    for path in sorted(TEMPLATES.rglob("*.html")):
        where = path.relative_to(SOURCE).as_posix()
        template = Template(path.read_text(), engine=engine)
        nodes: list[Node] = template.nodelist.get_nodes_by_type((TranslateNode, BlockTranslateNode))  # type: ignore[arg-type]
        for node in nodes:
            if isinstance(node, TranslateNode):
                literal = node.filter_expression.var.literal  # type: ignore[union-attr]
                if isinstance(literal, str):
                    yield literal.replace("%", "%%"), where
            elif isinstance(node, BlockTranslateNode):
                one, _ = node.render_token_list(node.singular)
                many = node.render_token_list(node.plural)[0] if node.plural else ""
                yield ((one, many) if many else one), where


def _of_python() -> Iterator[tuple[Message, str]]:
    for path in sorted(DESK.rglob("*.py")):
        with path.open("rb") as file:
            for _, message, _, _ in extract("python", file, keywords=_KEYWORDS):
                yield (tuple(message) if isinstance(message, tuple) else message), path.relative_to(SOURCE).as_posix()  # type: ignore[misc]


def _of_refusals() -> Iterator[tuple[Message, str]]:
    from havenline_desk.pages.told import COUNTED, NAMED, SENTENCES

    where = "havenline_desk/pages/told.py"
    yield from ((pair, where) for pair in COUNTED)
    yield from ((sentence, where) for sentence in (*SENTENCES, *(message for _, message in NAMED)))
    for path in sorted(path for pattern in _SAID_ON_PAGES for path in DESK.glob(pattern)):
        for call in ast.walk(ast.parse(path.read_text())):
            if not isinstance(call, ast.Call) or not ast.unparse(call.func).endswith(_REFUSALS):
                continue
            values = [value for arg in call.args for value in (arg.values if isinstance(arg, ast.Dict) else [arg])]
            for value in values:
                if isinstance(value, ast.Constant) and isinstance(value.value, str) and " " in value.value:
                    yield value.value, path.relative_to(SOURCE).as_posix()


def _of_labels() -> Iterator[tuple[Message, str]]:
    from havenline_desk import models

    shown = (
        *(models.Role, models.Way, models.SourceKind, models.SkipReason, models.EscalationStage, models.Step),
        *(models.SettledBy, models.SamplingRule, models.Plan, models.ItemState, models.PoolKind, models.HandReason),
        *(
            models.AuditAct,
            models.House,
            models.JobStage,
            models.MediaKind,
            models.TextReason,
            models.FindingVerdict,
            models.Door,
            models.DeconflictionAnswer,
            models.WithdrawalReason,
            models.MatchAlarmKind,
            models.VoteReason,
            models.EntryVerdict,
            models.FeedbackView,
        ),
    )
    for choices in shown:
        where = f"{choices.__module__.replace('.', '/')}.py"
        yield from ((str(label), where) for label in choices.labels)


def _of_frameworks() -> Iterator[tuple[Message, str]]:
    yield "Cannot determine", "havenline/frameworks/reading.py"
    for name in HOUSE_FRAMEWORKS:
        path = SOURCE / "havenline" / "frameworks" / f"{name}.toml"
        read = tomllib.loads(path.read_text())
        for question in (*read.get("fact", ()), *read.get("question", ())):
            for text in (question.get("text"), *question.get("options", {}).values()):
                # Numbers alone read the same everywhere.
                if text and any(letter.isalpha() for letter in text):
                    yield text, path.relative_to(SOURCE).as_posix()
        yield from (("Yes", "havenline/frameworks/reading.py"), ("No", "havenline/frameworks/reading.py"))


def renew(language: str) -> int:
    """Write the .po anew with today's messages, and its .mo. Return how many are without a translation."""
    kept = catalogue(language) if _po(language).exists() else Catalog(locale=language)
    new = Catalog(locale=language, charset="utf-8")
    new.mime_headers = [("Plural-Forms", _PLURAL_FORMS[language])]
    for message, places in collected().items():
        former = kept.get(message if isinstance(message, str) else message[0])
        string = former.string if former is not None and former.pluralizable == isinstance(message, tuple) else ""
        new.add(message, string, locations=[(place, 1) for place in sorted(places)])
    out = io.BytesIO()
    write_po(out, new, width=120, sort_output=True, include_lineno=False, omit_header=True)
    header = _HEADER.format(language=language, plural_forms=_PLURAL_FORMS[language])
    _po(language).write_text(f"{header}\n{out.getvalue().decode().strip()}\n")
    mo(language).write_bytes(compiled(language))
    return sum(not translated(message.string) for message in new if message.id)


def translated(string: str | list[str] | tuple[str, ...]) -> bool:
    return all(string) if isinstance(string, list | tuple) else bool(string)


def main() -> None:
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "havenline_desk.sites.settings")
    django.setup()
    for language in LANGUAGES:
        print(f"{language}: {renew(language)} without a translation")


if __name__ == "__main__":
    main()
