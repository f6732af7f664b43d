"""The core library of Havenline: no Django, no database, no clock, no network outside `connectors`."""

__version__ = "0.1.0"
