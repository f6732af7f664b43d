"""What is good once is good once however many ask at the same moment, each over a connection of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings

from havenline_desk import factors
from havenline_desk.actions.change_factors import FactorsUnchanged, make_recovery_codes, remove_factor
from havenline_desk.actions.count_try import Throttled, count_try
from havenline_desk.actions.declare_policy import declare_policy
from havenline_desk.factors import FactorRefused
from havenline_desk.models import AuthenticatorApp, InstallationKind, Passkey, Person, Role, Throttle

from . import factories

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("desk_role")]

AT_ONCE = 12


@pytest.fixture
def lead() -> Person:
    at = timezone.now()
    declare_policy(InstallationKind.DESK, at=at)
    return factories.make_person("lead", Role.LEAD, at=at)


def at_once(work: Callable[[], object]) -> int:
    """How many of twelve succeed."""

    def one(number: int) -> bool:
        try:
            with transaction.atomic():
                work()
        except (FactorRefused, FactorsUnchanged):
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return sum(pool.map(one, range(AT_ONCE)))


def test_a_recovery_code_is_used_once(lead: Person) -> None:
    at = timezone.now()
    code = make_recovery_codes(lead, at=at)[0]
    assert at_once(lambda: factors.use_recovery_code(lead, code, at=at)) == 1


def test_a_code_of_an_app_is_used_once(lead: Person, settings: Settings) -> None:
    from .test_sign_in import code_of

    settings.ALLOW_TOTP = True
    at, secret = timezone.now(), factors.new_totp_secret()
    AuthenticatorApp.objects.create(person=lead, sealed_secret=factors.seal(secret), added_at=at, last_step=0)
    assert at_once(lambda: factors.use_totp(lead, code_of(secret, at), at=at)) == 1


def test_of_two_keys_that_are_removed_at_once_one_stays(lead: Person) -> None:
    at = timezone.now()
    for name in ("blue", "grey"):
        Passkey.objects.create(person=lead, label=name, credential_id=name, public_key="a0", added_at=at, counter=0)
    waiting = list(Passkey.objects.all()) * (AT_ONCE // 2)
    assert at_once(lambda: remove_factor(waiting.pop(), by=lead, keeping=None, at=at)) == 1
    assert Passkey.objects.filter(removed_at=None).count() == 1


def test_attempts_that_come_at_once_are_counted_one_by_one(lead: Person, settings: Settings) -> None:
    at = timezone.now()

    def one(number: int) -> bool:
        try:
            count_try(name="lead", address=f"203.0.113.{number}", at=at)
        except Throttled:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(AT_ONCE) as pool:
        assert sum(pool.map(one, range(AT_ONCE))) == settings.SIGN_IN_TRIES_PER_ACCOUNT
    held = Throttle.objects.get(key=factors.keyed_digest("throttle", "account", "lead"))
    assert held.tries == AT_ONCE
