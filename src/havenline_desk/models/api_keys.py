"""Keys of the match service, how much was asked with them, and alarms about what was asked."""

from __future__ import annotations

from django.db import models

from .audit import Audited
from .partners import Partner
from .people import Person
from .releases import HouseList


class KeyScope(models.TextChoices):
    """What a key may ask; each key has one."""

    ONE_BIT = "match:one_bit", "whether there is a lead, and nothing else"
    STAFF = "match:staff", "the leads themselves, for programs of this house"
    HMA = "hma", "the interface of Hasher-Matcher-Actioner, for programs of this house"


class KeyEnd(models.TextChoices):
    REVOKED = "revoked", "a person took it back"
    FROZEN = "frozen", "it was used to probe the lists"


class ApiKey(Audited):
    """A credential of a program. Its secret was shown once and is kept as SHA-256 alone.

    Of a partner: it is looked up in the lists that the partner is subscribed to at the door `match`, and in no others.
    Of this house (no partner): in `lists`, by their names in `matchd`. Numbers are of items looked up, not of requests.
    """

    name = models.CharField(max_length=64, unique=True)
    scope = models.CharField(max_length=16, choices=KeyScope)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="api_keys", null=True)
    lists = models.JSONField()
    per_minute = models.PositiveIntegerField()
    per_day = models.PositiveIntegerField()
    probe_limit = models.PositiveSmallIntegerField(help_text="so many different, close values in a day freeze it")
    digest = models.CharField(max_length=64, unique=True)
    made_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    ending = models.CharField(max_length=8, choices=KeyEnd, blank=True)

    def __str__(self) -> str:
        return self.name


class LookupWindow(Audited):
    """Some minutes in which one server process answered one key; the row stands before the first answer goes out."""

    key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, related_name="windows")
    salt = models.CharField(max_length=32, help_text="begins the bytes of each leaf under the root")
    opened_at = models.DateTimeField()


class LookupCount(Audited):
    """How much was answered in a window; numbers are null where the process ended without telling.

    `root`: RFC 6962 over one leaf a request: salt, SHA-256 of the body, the answer. Who kept both can show it; from the
    root alone nothing can be told.
    """

    window = models.OneToOneField(LookupWindow, on_delete=models.PROTECT, related_name="count")
    closed_at = models.DateTimeField()
    requests = models.PositiveIntegerField(null=True)
    items = models.PositiveIntegerField(null=True)
    leads = models.PositiveIntegerField(null=True)
    refused = models.PositiveIntegerField(null=True)
    root = models.CharField(max_length=64, blank=True)


class WebhookEndpoint(Audited):
    """Where the programs of one owner are told of events: of a partner, or of this house (no partner).

    `off_at`: it failed for days, so nothing is sent until a person switches it on; `ended_at`: for good.
    """

    name = models.CharField(max_length=64, unique=True)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="webhooks", null=True)
    address = models.TextField()
    made_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField()
    failing_since = models.DateTimeField(null=True)
    off_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.name


class MatchAlarmKind(models.TextChoices):
    PROBING = "probing", "a key asked for many different values close to one another"
    CANARY = "canary", "a key asked for a value that one recipient alone was given"
    QUOTA = "quota", "a key has used up most of what it may ask in a day"
    WEBHOOK = "webhook", "events do not arrive at a webhook"


class MatchAlarm(Audited):
    """Something that the liaison must look at, until somebody closes it with a reason.

    It is about `key`, or about `endpoint`. `recipient`: whose copy of `list` the value asked for stands in.
    """

    kind = models.CharField(max_length=8, choices=MatchAlarmKind)
    key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, related_name="alarms", null=True)
    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.PROTECT, related_name="alarms", null=True)
    recipient = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="leak_alarms", null=True)
    list = models.ForeignKey(HouseList, on_delete=models.PROTECT, related_name="+", null=True)
    raised_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    closed_by = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+", null=True)
    reason = models.CharField(max_length=200, blank=True, help_text="why it was closed")

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("kind", "key", "endpoint", "recipient", "list"),
                condition=models.Q(closed_at=None),
                nulls_distinct=False,
                name="one_open_alarm_of_a_kind",
            ),
        )
