"""The desk in Arabic and Spanish: what an analyst meets is translated, every word of a template is a message."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.template.base import Lexer, TokenType
from django.test import Client
from django.utils.translation import override

from havenline_desk.pages.told import NAMED, SENTENCES, told
from tests.messages.collect import DESK, LANGUAGES, SOURCE, TEMPLATES, catalogue, collected, compiled, mo, translated

WITHOUT_A_GAP = {
    *("base.html", "sign_in.html", "_passkey.html", "second_factor.html", "_code.html", "recovery.html", "set_up.html"),
    *("_new_factor.html", "recovery_codes.html", "own_sign_in.html", "_remove.html", "confirm.html", "add_factor.html"),
    *("organisation_refused.html", "login_redirect.html", "home.html", "nothing_open.html", "calibration.html"),
    *(
        "workspace.html",
        "_dispute.html",
        "_budget_left.html",
        "_budget_table.html",
        "exposure.html",
        "escalations.html",
    ),
    *("error_400.html", "error_403.html", "error_404.html", "error_500.html", "error_503.html", "403_csrf.html"),
    *("words.py", "work.py", "reveal.py", "layout.py", "told.py", "exposure.py", "set_up.py", "own_sign_in.py"),
    *("people.py", "factors.py", "investigations.py", "queue.py", "escalations.py"),  # labels of enumerations
    *("submit_assessment.py", "grant_reveal.py", "escalate.py", "start_calibration.py", "set_budget.py"),
    *("prove_person.py", "change_factors.py", "codes.py", "passkeys.py", "sealing.py", "evidence.py"),
    *("1.toml", "reading.py"),
}
"""What an analyst meets. Other pages are translated too, but a new message there may wait for its translation."""

ALIKE = {
    *("CSV", "JSON", "UTC", "SHA", "PIN", "MiB", "min", "Esc", "Ctrl", "Alt", "Meta"),
    *("Havenline", "CSAM", "JavaScript", "localhost", "https"),
}
"""Words that are the same in every language."""


def messages_wanted() -> set[str | tuple[str, str]]:
    named = {place.name: place for place in (*DESK.rglob("*.html"), *SOURCE.rglob("*.py"), *SOURCE.rglob("*.toml"))}
    assert set(named) >= WITHOUT_A_GAP
    return {
        message for message, places in collected().items() if any(Path(place).name in WITHOUT_A_GAP for place in places)
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_an_analyst_meets_is_translated_with_the_same_values(language: str) -> None:
    kept = catalogue(language)
    of_id = {message.id if isinstance(message.id, str) else tuple(message.id): message for message in kept}
    wanted = messages_wanted()
    assert {one for one in wanted if one not in of_id or not translated(of_id[one].string)} == set(), (
        "run ./dev messages, then translate what is empty"
    )
    assert [message.id for message in kept if message.id and message.fuzzy] == []
    assert [(message.id, str(error)) for message in kept for error in message.check(kept)] == []
    for message in kept:
        strings = message.string if isinstance(message.string, tuple | list) else (message.string,)
        ids = (message.id,) if isinstance(message.id, str) else message.id
        if message.id and all(strings):
            names = {name for one in ids for name in placeholders(one)}
            assert [one for one in strings if not placeholders(one) <= names] == [], message.id
            assert placeholders(strings[-1]) == placeholders(ids[-1]), message.id


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"%\(\w+\)[sd]|</?\w+>", text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_compiled_is_what_is_written(language: str) -> None:
    """The .mo are kept in the repository, so that a machine without gettext runs the desk in each language."""
    assert mo(language).read_bytes() == compiled(language), "run ./dev messages"


@pytest.mark.parametrize("template", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: path.name)
def test_every_word_of_a_template_is_a_message(template: Path) -> None:
    text = "".join(
        token.contents if token.token_type == TokenType.TEXT else "\x00"
        for token in Lexer(without_messages(template.read_text())).tokenize()
    )
    text = re.sub(r"<(script|style|code|kbd|svg)\b.*?</\1>", " ", text, flags=re.DOTALL)
    shown = re.findall(r'(?:aria-label|title|placeholder|alt|content)="([^"\x00]*[A-Za-z]{2}[^"\x00]*)"', text)
    shown += re.split(r"<[^>]*>", text)
    found = {word for piece in shown for word in re.findall(r"[A-Za-zÀ-ž]{2,}", re.sub(r"&\w+;", " ", piece))}
    found -= {"width", "device", "initial", "scale", "light", "dark", "url", "utf"}  # of <meta>, which nobody reads
    assert found - ALIKE == set()


def without_messages(source: str) -> str:
    """What stands between blocktranslate and its end is a message; names of classes are read by nobody."""
    source = re.sub(r"{% block (page|body)_class %}\w*{% endblock %}", "", source)
    return re.sub(r"{% blocktranslate.*?{% endblocktranslate %}", "", source, flags=re.DOTALL)


def test_sentences_of_other_layers_are_those_that_are_raised() -> None:
    """They are messages by their whole text: one that was reworded would come out in English."""
    written = " ".join(
        path.read_text()
        for folder in (
            DESK,
            SOURCE / "havenline_guard",
            SOURCE / "havenline" / "frameworks",
            SOURCE / "havenline" / "connectors",
        )
        for path in sorted(folder.rglob("*.py"))
        if path.name != "told.py"
    )
    joined = re.sub(r'"\s*f?"', "", written)
    budget = "; nothing was opened. An escalation needs no budget"
    assert f"{{text}}{budget}" in joined
    assert [one for one in SENTENCES if one.removesuffix(budget) not in joined] == []


@pytest.mark.parametrize(("language", "said"), [("ar", "3 صور شبه مطابقة"), ("es", "3 casi duplicadas")])
def test_a_refusal_with_a_number_is_told_in_the_language_of_the_page(language: str, said: str) -> None:
    with override(language):
        assert told("3 near pictures need an own look and a key").startswith(said)
        assert told("a sentence that no catalogue knows") == "a sentence that no catalogue knows"


@pytest.mark.parametrize(
    ("refused", "language", "said"),
    [
        ("house-csam is suspended; nothing was opened", "es", "house-csam está suspendido; no se abrió nada"),
        ("nothing of house-csam is new since edition 3", "ar", "house-csam"),
    ],
)
def test_a_refusal_with_a_name_is_told_in_the_language_of_the_page(refused: str, language: str, said: str) -> None:
    with override(language):
        assert said in told(refused)
        assert told(refused) != refused


def test_every_refusal_with_a_name_is_one_that_is_raised() -> None:
    """By what stands between the names, since the source has them in braces. What gates raise is said otherwise."""
    written = " ".join(path.read_text() for path in sorted(SOURCE.rglob("*.py")) if path.name != "told.py")
    joined = re.sub(r'"\s*f?"', "", written)
    for sentence in (raised for raised, message in NAMED if raised == message):
        for piece in re.split(r"%\(\w+\)s", sentence):
            assert piece in joined, sentence


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("asked", "language", "direction"), [("ar-EG,en;q=0.5", "ar", "rtl"), ("es-MX", "es", "ltr"), ("fi", "en", "ltr")]
)
def test_the_browser_says_the_first_language(client: Client, asked: str, language: str, direction: str) -> None:
    page = client.get("/sign-in", headers={"Accept-Language": asked}).content.decode()
    assert f'<html lang="{language}" dir="{direction}">' in page


@pytest.mark.django_db
def test_a_chosen_language_is_kept_in_a_cookie_and_goes_back_to_the_page(client: Client) -> None:
    answer = client.post("/language", {"language": "ar", "next": "/sign-in?next=/work"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/sign-in?next=/work")
    cookie = answer.cookies[settings.LANGUAGE_COOKIE_NAME]
    assert (cookie.value, cookie["samesite"], cookie["httponly"]) == ("ar", "Strict", True)
    assert 'lang="ar" dir="rtl"' in client.get("/sign-in").content.decode()
    assert 'lang="ar" dir="rtl"' in client.get("/nowhere").content.decode(), "an error page too"


@pytest.mark.django_db
def test_nothing_is_chosen_by_a_link_or_for_a_language_that_is_not_offered(client: Client) -> None:
    assert settings.LANGUAGE_COOKIE_NAME not in client.get("/language?language=ar").cookies
    answer = client.post("/language", {"language": "tlh", "next": "https://elsewhere.example/"})
    assert settings.LANGUAGE_COOKIE_NAME not in answer.cookies
    assert answer.headers["Location"] == "/"
