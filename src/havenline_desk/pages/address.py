"""Where a request comes from, as far as the desk wants to know."""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest

_THROTTLED = {4: 32, 6: 64}
"""One household or machine: whoever has an IPv6 address has its /64."""


def address_of(request: HttpRequest) -> str:
    """The address of whoever asks, in one spelling; of IPv6 the /64. “unknown” where there is none.

    X-Forwarded-For is what anybody may write, so it is passed over unless HAVENLINE_TRUSTED_PROXIES says how many
    proxies of the house stand before the desk; then the entry that the outermost of them wrote is taken.
    """
    said = request.META.get("REMOTE_ADDR", "")
    proxies: int = settings.TRUSTED_PROXIES
    forwarded = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
    if 0 < proxies <= len(forwarded):
        said = forwarded[-proxies]
    try:
        address = ipaddress.ip_address(said)
    except ValueError:
        return "unknown"
    return str(ipaddress.ip_network((address, _THROTTLED[address.version]), strict=False))
