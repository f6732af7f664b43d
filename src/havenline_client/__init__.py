"""A client of Havenline's match service and the check of its webhooks, of the standard library alone."""

from .client import Answer, MatchService, Refused
from .webhook import Event, NotVerified, verify_webhook

__all__ = ["Answer", "Event", "MatchService", "NotVerified", "Refused", "verify_webhook"]
