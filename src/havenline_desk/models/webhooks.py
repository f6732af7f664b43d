"""Webhooks: where the owner of keys is told that something changed, the outbox, and each attempt to deliver."""

from __future__ import annotations

from django.db import models

from .api_keys import WebhookEndpoint
from .audit import Audited


class WebhookSecret(Audited):
    """What one endpoint's events are signed with. Two at once while a new one takes over: `until` ends the older."""

    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.PROTECT, related_name="secrets")
    sealed = models.TextField(help_text="sealed under a key that the database does not hold")
    made_at = models.DateTimeField()
    until = models.DateTimeField(null=True)


class WebhookKind(models.TextChoices):
    """What an event says. None names an entry, a value, or what was asked."""

    PING = "ping", "a person tries whether it arrives"
    LISTS_CHANGED = "lists.changed", "what the keys are looked up in changed: ask again"
    KEY_ENDED = "key.ended", "a key ended"
    QUOTA_NEAR = "quota.near", "most of what a key may ask in a day is used up"
    ALARM_RAISED = "alarm.raised", "an alarm was raised; told to this house alone"


class WebhookEvent(Audited):
    """One event for one endpoint: put here in the transaction of its cause. `audit_id` is its id, the same each time.

    `tries` counts since it was put here or replayed; `next_try_at` is null once it was delivered or is dead.
    """

    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.PROTECT, related_name="events")
    kind = models.CharField(max_length=16, choices=WebhookKind)
    body = models.TextField(help_text="JSON, as it is signed and sent")
    caused_at = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)
    dead_at = models.DateTimeField(null=True, help_text="when it was given up, until a person replays it")

    class Meta:
        indexes = (
            models.Index(
                fields=("next_try_at",), condition=models.Q(next_try_at__isnull=False), name="webhook_event_waiting"
            ),
        )


class WebhookResult(models.TextChoices):
    """How an attempt went. Of the answer nothing is kept but its status."""

    DELIVERED = "delivered", "answered with a status of 200 to 299"
    STATUS = "status", "answered with another status"
    REDIRECT = "redirect", "answered with another address, which is never followed"
    UNREACHABLE = "unreachable", "no connection"
    CERTIFICATE = "certificate", "its certificate is not good"
    SLOW = "slow", "no answer in time"
    ADDRESS = "address", "its name leads to an address that is not allowed"
    SEALED = "sealed", "its secret cannot be opened"


class WebhookAttempt(Audited):
    """One attempt. The row stands before anything is sent; without a result the process was killed at it."""

    event = models.ForeignKey(WebhookEvent, on_delete=models.PROTECT, related_name="attempts")
    begun_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    result = models.CharField(max_length=16, choices=WebhookResult, blank=True)
    status = models.PositiveSmallIntegerField(null=True)
