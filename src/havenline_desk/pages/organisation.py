"""An account at the organisation's OpenID Connect provider in place of a password; the second factor stays here.

allauth speaks the protocol: discovery, state, PKCE, the code for a token, issuer, audience and expiry of the ID token.
It signs nobody in: as soon as it knows whose account it is, this module takes over. Nobody is enrolled by it.
"""

from __future__ import annotations

from typing import Any, NoReturn

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone

from ..actions.prove_person import SignInRefused, Throttled, prove_by_account
from ..gates import Act, gate
from .address import address_of
from .session import answered, go_on

PROVIDER = "organisation"


class OnlyEnrolled(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth carries no types
    """Takes a proved account out of allauth's hands before it would sign anybody in or up."""

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> NoReturn:
        raise ImmediateHttpResponse(_proved(request, sociallogin))

    def on_authentication_error(self, request: HttpRequest, *args: Any, **kwargs: Any) -> NoReturn:
        raise ImmediateHttpResponse(_refused(request, SignInRefused("the provider did not say who you are: try again")))

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return False


@gate(Act.SIGN_IN)
def leave(request: HttpRequest) -> HttpResponse:
    """Send the browser to the provider."""
    return _answer_of(OAuth2LoginView, request, PROVIDER)


@gate(Act.SIGN_IN)
def arrive(request: HttpRequest, provider_id: str) -> HttpResponse:
    """Where the provider sends the browser back to; then the second factor follows.

    Cookies of the desk are not sent along when another site leads here (SameSite=Strict), so the first answer is a
    page that goes on by itself (`socialaccount/login_redirect.html`): that makes the next request one from within.
    """
    return _answer_of(OAuth2CallbackView, request, provider_id)


def _answer_of(view: Any, request: HttpRequest, provider_id: str) -> HttpResponse:
    if not settings.OIDC_ISSUER or provider_id != PROVIDER:
        raise Http404
    try:
        answer: HttpResponse = view.adapter_view(OpenIDConnectOAuth2Adapter(request, PROVIDER))(request)
    except OSError:
        return _refused(request, SignInRefused("the provider does not answer: try again, or use your passkey"))
    except (ValueError, LookupError):  # a configuration or a token without what it must have
        return _refused(request, SignInRefused("the provider's answer cannot be used: tell the administrator"))
    return answer


def _proved(request: HttpRequest, sociallogin: SocialLogin) -> HttpResponse:
    at = timezone.now()
    said = sociallogin.account.extra_data.get("id_token") or {}
    try:
        if str(said.get("iss", "")).rstrip("/") != settings.OIDC_ISSUER or not said.get("exp"):
            raise SignInRefused("the provider's answer is not from the provider that this desk knows")
        person = prove_by_account(settings.OIDC_ISSUER, str(said["sub"]), address=address_of(request), at=at)
    except (SignInRefused, Throttled) as refused:
        return _refused(request, refused)
    return go_on(request, person, onward=settings.LOGIN_REDIRECT_URL, at=at)


def _refused(request: HttpRequest, refused: SignInRefused | Throttled) -> HttpResponse:
    return answered(request, "havenline/organisation_refused.html", {"refused": refused}, refused)
