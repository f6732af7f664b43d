"""Later."""

from .door import open_to_all
from .match import ready

status = open_to_all(ready)
