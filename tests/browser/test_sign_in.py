"""Passkeys, codes, recovery and an organisation's account on a real desk, in a browser with a virtual authenticator."""

from __future__ import annotations

import base64
import hmac
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, expect

from ..desk.provider import SECRET, Provider
from .conftest import SCREENSHOTS
from .test_accessibility import faults

PASSWORD = "drawn shapes only, nothing else"
ASK = """
async ({ question, verification, key }) => {
  const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  const text = (held) => btoa(String.fromCharCode(...new Uint8Array(held)))
    .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const shown = await navigator.credentials.get({ publicKey: {
    rpId: question.rpId, challenge: bytes(question.challenge), userVerification: verification,
    allowCredentials: key ? [{ type: "public-key", id: bytes(key) }] : [] } });
  return JSON.stringify({ id: shown.id, rawId: text(shown.rawId), type: shown.type, response: {
    clientDataJSON: text(shown.response.clientDataJSON), authenticatorData: text(shown.response.authenticatorData),
    signature: text(shown.response.signature), userHandle: text(shown.response.userHandle) } });
}
"""
QUESTION = """
async () => {
  const form = document.querySelector("form[data-passkey=get]");
  const asked = await fetch(form.dataset.options, { method: "POST", body: new FormData(form) });
  return (await asked.json()).publicKey;
}
"""
SEND = """(answer) => {
  const form = document.querySelector("form[data-passkey=get]");
  form.elements.answer.value = answer;
  form.submit();
}"""


@dataclass(frozen=True)
class RealDesk:
    address: str
    home: Path
    environ: dict[str, str]

    def run(self, *arguments: str) -> str:
        command = [Path(sys.executable).with_name("havenline"), *arguments, "--home", self.home]
        return subprocess.run(command, env=self.environ, check=True, capture_output=True, text=True).stdout

    def enrol(self, name: str, role: str = "investigation_lead") -> str:
        """Enrol a person; returns the one-time secret."""
        return self.run("person", "add", name, "--role", role).split()[-1]

    def acts(self) -> list[tuple[str, str]]:
        """What the log holds: act and purpose, oldest first."""
        log = self.home.parent / "log.ndjson"
        self.run("audit", "export", str(log), "--by", "auditor")
        lines = [json.loads(line) for line in log.read_text().splitlines()[1:]]
        log.unlink()
        return [(line["entry"]["act"], line["entry"]["purpose"] or "") for line in lines]


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture(scope="module")
def real_desk(provider: Provider) -> Iterator[RealDesk]:
    from havenline_desk.sites.cluster import throwaway_folder

    folder = throwaway_folder()
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("HAVENLINE_", "DJANGO_"))}
    secret = folder / "oidc-secret"
    secret.write_text(SECRET)
    environ |= {
        "HAVENLINE_ALLOW_TOTP": "1",
        "HAVENLINE_OIDC_ISSUER": provider.issuer,
        "HAVENLINE_OIDC_CLIENT": "havenline-desk",
        "HAVENLINE_OIDC_SECRET_FILE": str(secret),
        "HAVENLINE_OIDC_NAME": "the organisation",
    }
    command = [Path(sys.executable).with_name("havenline"), "up", "--home", folder / "desk", "--port", "0"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        printed = child.stdout.readline()
        address = re.search(r"http://localhost:\d+/", printed)
        assert address is not None, printed
        desk = RealDesk(address[0], folder / "desk", environ)
        try:
            desk.enrol("auditor", "auditor")
            yield desk
        finally:
            child.send_signal(signal.SIGINT)
            assert child.wait(timeout=30) == 0
            shutil.rmtree(folder)


@contextmanager
def opened(browser: Browser) -> Iterator[tuple[BrowserContext, Page]]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if "Content Security" in message.text else None)
    yield context, page
    assert faults == [], "nothing is refused by the content security policy and no script fails"
    context.close()


@dataclass
class Key:
    """A virtual authenticator in one page."""

    session: CDPSession
    id: str

    @classmethod
    def into(cls, page: Page, credential: dict[str, Any] | None = None, *, verifies: bool = True) -> Key:
        session = page.context.new_cdp_session(page)
        session.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "usb",
            "hasResidentKey": True,
            "hasUserVerification": verifies,
            "isUserVerified": verifies,
            "automaticPresenceSimulation": True,
        }
        key = cls(session, session.send("WebAuthn.addVirtualAuthenticator", {"options": options})["authenticatorId"])
        if credential is not None:
            key.session.send("WebAuthn.addCredential", {"authenticatorId": key.id, "credential": credential})
        return key

    def credential(self) -> dict[str, Any]:
        held = self.session.send("WebAuthn.getCredentials", {"authenticatorId": self.id})["credentials"]
        assert len(held) == 1
        return dict(held[0])

    def away(self) -> None:
        self.session.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": self.id})


def keep(page: Page, name: str) -> None:
    """A picture of the page as it stands, which axe-core then looks over, in light and in dark."""
    page.screenshot(path=SCREENSHOTS / f"sign-in-{name}.png", full_page=True)
    assert faults(page) == []
    page.emulate_media(color_scheme="light")


def first_sign_in(page: Page, desk: RealDesk, name: str, secret: str) -> None:
    page.goto(desk.address)
    page.get_by_text("First sign-in, or name and password").click()
    page.get_by_label("Sign-in name").fill(name)
    page.get_by_label("Password, or the one-time secret").fill(secret)
    page.keyboard.press("Enter")
    page.wait_for_url("**/sign-in/set-up")


def enrolled(page: Page, desk: RealDesk, name: str) -> tuple[Key, list[str]]:
    """Enrol with a fresh virtual authenticator; returns it and the recovery codes. The page is signed in."""
    first_sign_in(page, desk, name, desk.enrol(name))
    key = Key.into(page)
    page.get_by_label("What you call this key").fill("blue key")
    page.get_by_role("button", name="Set up a passkey").click()
    expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
    return key, page.locator("#codes code").all_text_contents()


def show(page: Page) -> None:
    page.get_by_role("button", name="Sign in with a passkey").click()


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")


def expect_home(page: Page, desk: RealDesk) -> None:
    page.wait_for_url(desk.address)
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()


def expect_refused(page: Page, words: str) -> None:
    expect(page.locator("[data-problem]")).to_contain_text(words)
    expect(page.get_by_role("button", name="Sign out")).to_have_count(0)


def test_from_enrolment_to_two_keys_and_out_again(browser: Browser, real_desk: RealDesk) -> None:
    with opened(browser) as (_, page):
        page.goto(real_desk.address)
        keep(page, "1-first-page")
        secret = real_desk.enrol("lead")
        first_sign_in(page, real_desk, "lead", secret)
        keep(page, "2-set-up")
        first = Key.into(page)
        page.get_by_label("What you call this key").fill("blue key")
        page.get_by_role("button", name="Set up a passkey").click()
        expect(page.get_by_role("heading", name="Recovery codes")).to_be_visible()
        keep(page, "3-recovery-codes")
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save as a file").click()
        assert len(saved.value.path().read_text().splitlines()) == 10
        page.get_by_role("link", name="I have kept them").click()
        expect_home(page, real_desk)
        page.get_by_role("link", name="lead").click()
        expect(page.get_by_text("You have one passkey.")).to_be_visible()
        keep(page, "4-one-key")
        credential = first.credential()
        first.away()
        second = Key.into(page)
        page.get_by_role("link", name="Add one").click()
        page.get_by_label("What you call this key").fill("grey key, in the safe")
        page.get_by_role("button", name="Set up a passkey").click()
        expect(page.get_by_role("row", name=re.compile("grey key"))).to_be_visible()
        expect(page.get_by_text("You have one passkey.")).to_have_count(0)
        sign_out(page)
        show(page)
        expect_home(page, real_desk)
        page.goto(f"{real_desk.address}confirm?next=/own-sign-in")
        keep(page, "5-confirm")
        page.get_by_role("button", name="Show your passkey").click()
        page.wait_for_url("**/own-sign-in")
        page.get_by_role("row", name=re.compile("blue key")).get_by_role("button", name="Remove").click()
        expect(page.get_by_role("row", name=re.compile("blue key"))).to_have_count(0)
        keep(page, "6-own-sign-in")
        sign_out(page)
        second.away()
        Key.into(page, credential)
        show(page)
        expect_refused(page, "not known here, or was removed")
        keep(page, "7-removed-key")
    assert ("factor_refused", "unknown_key") in real_desk.acts()


def test_an_answer_relayed_from_another_origin_is_refused(browser: Browser, real_desk: RealDesk) -> None:
    """The browser lets any port of the same host ask for the key; the desk looks at the origin that signed."""
    with opened(browser) as (context, page):
        key, _ = enrolled(page, real_desk, "relayed")
        page.goto(real_desk.address)
        sign_out(page)
        question = page.evaluate(QUESTION)
        elsewhere = context.new_page()
        elsewhere.route("http://localhost:1/**", lambda route: route.fulfill(content_type="text/html", body="<p>x"))
        elsewhere.goto("http://localhost:1/")
        Key.into(elsewhere, key.credential())
        answer = elsewhere.evaluate(ASK, {"question": question, "verification": "required"})
        page.evaluate(SEND, answer)
        expect_refused(page, "does not fit the question")
    assert real_desk.acts()[-2][0] == "factor_refused"


def test_a_key_that_did_not_verify_its_user_is_refused(browser: Browser, real_desk: RealDesk) -> None:
    with opened(browser) as (_, page):
        key, _ = enrolled(page, real_desk, "unverified")
        page.goto(real_desk.address)
        sign_out(page)
        credential = key.credential()
        key.away()
        careless = Key.into(page, credential, verifies=False)
        show(page)
        expect_refused(page, "Nothing was shown")
        question = page.evaluate(QUESTION)
        asked = {"question": question, "verification": "discouraged", "key": credential["credentialId"]}
        page.evaluate(SEND, page.evaluate(ASK, asked))
        expect_refused(page, "does not fit the question")
        careless.away()
        Key.into(page, credential | {"signCount": 1000})
        show(page)
        expect_home(page, real_desk)


def test_a_recorded_answer_is_refused_the_second_time(browser: Browser, real_desk: RealDesk) -> None:
    with opened(browser) as (_, page):
        enrolled(page, real_desk, "replayed")
        page.goto(real_desk.address)
        sign_out(page)
        answer = page.evaluate(ASK, {"question": page.evaluate(QUESTION), "verification": "required"})
        page.evaluate(SEND, answer)
        expect_home(page, real_desk)
        sign_out(page)
        page.evaluate(SEND, answer)
        expect_refused(page, "answered already, or is too old")
        page.evaluate(QUESTION)
        page.evaluate(SEND, answer)
        expect_refused(page, "does not fit the question")


def test_a_copied_key_is_refused_and_logged(browser: Browser, real_desk: RealDesk) -> None:
    with opened(browser) as (_, page):
        key, _ = enrolled(page, real_desk, "copied")
        page.goto(real_desk.address)
        copy = key.credential()
        for _ in range(2):
            sign_out(page)
            show(page)
            expect_home(page, real_desk)
        sign_out(page)
        key.away()
        Key.into(page, copy)
        show(page)
        expect_refused(page, "counts backwards, as a copied one would")
    assert ("factor_refused", "copied_key") in real_desk.acts()


def test_a_recovery_code_ends_other_sessions_and_leads_to_a_new_key(browser: Browser, real_desk: RealDesk) -> None:
    with opened(browser) as (_, old), opened(browser) as (_, page):
        _, codes = enrolled(old, real_desk, "forgetful")
        page.goto(real_desk.address)
        page.get_by_role("link", name="Use a recovery code").click()
        keep(page, "8-recovery")
        page.get_by_label("Sign-in name").fill("forgetful")
        page.get_by_label("Recovery code").fill(codes[0])
        page.keyboard.press("Enter")
        page.wait_for_url("**/sign-in/set-up")
        old.goto(real_desk.address)
        old.wait_for_url("**/sign-in?next=/")
        page.goto(real_desk.address)
        page.wait_for_url("**/sign-in?next=/")
        page.goto(f"{real_desk.address}sign-in/set-up")
        Key.into(page)
        page.get_by_role("button", name="Set up a passkey").click()
        page.get_by_role("link", name="I have kept them").click()
        expect_home(page, real_desk)
        sign_out(page)
        page.get_by_role("link", name="Use a recovery code").click()
        page.get_by_label("Sign-in name").fill("forgetful")
        page.get_by_label("Recovery code").fill(codes[0])
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("or the code was used")
    assert ("recovery_code_used", "") in real_desk.acts()


def code_of(secret: str, at: float) -> str:
    digest = hmac.new(base64.b32decode(secret), struct.pack(">Q", int(at) // 30), "sha1").digest()
    start = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[start : start + 4])[0] & 0x7FFFFFFF) % 1_000_000:06}"


def test_an_authenticator_app_is_clicked_through(browser: Browser, real_desk: RealDesk) -> None:
    with opened(browser) as (_, page):
        first_sign_in(page, real_desk, "appuser", real_desk.enrol("appuser"))
        page.get_by_text("Authenticator app and password instead").click()
        keep(page, "9-app")
        expect(page.locator("svg.qr")).to_be_visible()
        secret = page.locator("#secret").text_content().replace(" ", "")
        page.get_by_label("A password of 14 characters").fill(PASSWORD)
        at = time.time() - 30  # the interval before is good too, and leaves this one for signing in
        page.get_by_label("The code that the app shows").fill(code_of(secret, at))
        page.get_by_role("button", name="Set up the app").click()
        page.get_by_role("link", name="I have kept them").click()
        expect_home(page, real_desk)
        sign_out(page)
        page.get_by_text("First sign-in, or name and password").click()
        page.get_by_label("Sign-in name").fill("appuser")
        page.get_by_label("Password, or").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/sign-in/second-factor")
        keep(page, "10-second-factor")
        page.get_by_label("Code of your authenticator app").fill("000000")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert").first).to_contain_text("wrong, too old, or was used")
        page.get_by_label("Code of your authenticator app").fill(code_of(secret, time.time()))
        page.keyboard.press("Enter")
        expect_home(page, real_desk)


def test_an_organisations_account_comes_before_the_passkey(
    browser: Browser, real_desk: RealDesk, provider: Provider
) -> None:
    """The provider is another site for the browser (127.0.0.1 against localhost), as it is in life."""
    with opened(browser) as (_, page):
        page.goto(real_desk.address)
        page.get_by_role("link", name="Go on with the organisation").click()
        expect(page.get_by_role("alert")).to_contain_text("nobody who is enrolled here")
        real_desk.enrol("linked")
        real_desk.run("person", "link", "linked", "--subject", provider.subject)
        page.goto(real_desk.address)
        page.get_by_role("link", name="Go on with the organisation").click()
        page.wait_for_url("**/sign-in/set-up")
        Key.into(page)
        page.get_by_role("button", name="Set up a passkey").click()
        page.get_by_role("link", name="I have kept them").click()
        expect_home(page, real_desk)
        sign_out(page)
        page.get_by_role("link", name="Go on with the organisation").click()
        page.wait_for_url("**/sign-in/second-factor")
        page.goto(real_desk.address)
        page.wait_for_url("**/sign-in?next=/")
        page.goto(f"{real_desk.address}sign-in/second-factor")
        page.get_by_role("button", name="Show your passkey").click()
        expect_home(page, real_desk)


def test_too_many_attempts_are_told_how_long_to_wait(browser: Browser, real_desk: RealDesk) -> None:
    with opened(browser) as (_, page):
        page.goto(real_desk.address)
        page.get_by_text("First sign-in, or name and password").click()
        for _ in range(6):
            page.get_by_label("Sign-in name").fill("guessed")
            page.get_by_label("Password, or").fill("a guess")
            page.keyboard.press("Enter")
            expect(page.get_by_role("alert").last).to_be_visible()
        expect(page.get_by_text("too many attempts: wait 15 minutes")).to_be_visible()
        keep(page, "11-throttled")
