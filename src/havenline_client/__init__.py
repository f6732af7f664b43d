"""A client of Havenline's match service, of the standard library alone: a platform needs nothing else of Havenline."""

from .client import Answer, MatchService, Refused

__all__ = ["Answer", "MatchService", "Refused"]
