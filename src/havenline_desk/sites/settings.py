"""Django settings of the desk. Read from the environment, which `sites.wiring` fills; no secret stands here."""

from __future__ import annotations

import datetime as dt
import os
import shlex
from pathlib import Path
from urllib.parse import urlsplit

from csp.constants import NONE, SELF
from psycopg.conninfo import conninfo_to_dict

from havenline.vocabulary import HavenlineError

HOME = Path(os.environ.get("HAVENLINE_HOME", "/nonexistent"))
DECODERD = os.environ.get("HAVENLINE_DECODERD", "")
"""The socket of the `decoderd` that opens kept content; empty: none is opened."""
AUDIT_FOLDER = os.environ.get("HAVENLINE_AUDIT_FOLDER", "")
"""Where checkpoints and the journal of the audit log go; empty: a folder in the data folder."""
AUDIT_SIGNER: object | None = None
"""What signs checkpoints (`formats.audit_log.CheckpointSigner`); None: a key in the data folder."""
KEYD = os.environ.get("HAVENLINE_KEYD", "")
"""Path of the socket of `keyd`; empty: no content is kept but by a demonstration, and the signer is a file's."""
C2PA_SIGNERS = os.environ.get("HAVENLINE_C2PA_SIGNERS", "")
"""A file of certificates (PEM) of authorities whose signers of C2PA manifests are trusted; empty: nobody's are."""
ORIGIN_PIXELS = os.environ.get("HAVENLINE_ORIGIN_PIXELS", "") == "1"
"""Whether imports look for marks of generators in decoded pixels too, which takes each picture longer."""
CONTENT_STORE = os.environ.get("HAVENLINE_CONTENT_STORE", "")
"""s3://bucket/prefix of this installation alone, for sealed content; empty: a folder in the data folder."""
S3_ENDPOINT = os.environ.get("HAVENLINE_S3_ENDPOINT", "")
"""Where that store answers, https://…; empty: as AWS_ENDPOINT_URL or the region says."""
INBOX = os.environ.get("HAVENLINE_INBOX", "")
"""The folder from which imports may be started on a page; empty: `inbox` in the data folder."""
LISTS = shlex.split(os.environ.get("HAVENLINE_LISTS", ""))
"""Hash lists that such an import is looked up in, as `--list` names them, between spaces; quoted as in a shell."""
MATCHD = os.environ.get("HAVENLINE_MATCHD", "")
"""Path of the socket of a `matchd` whose lists it is looked up in too; empty: none."""
EXCHANGES = os.environ.get("HAVENLINE_EXCHANGES", "")
"""The folder of exchanges with partners; empty: `exchanges` in the data folder."""
REPOSITORY = os.environ.get("HAVENLINE_REPOSITORY", "")
"""The folder of what this house publishes to other installations; empty: `repository` in the data folder."""
HOUSE_LISTS = os.environ.get("HAVENLINE_HOUSE_LISTS", "")
"""The folder of live lists of what this house released, for a `matchd`; empty: `house-lists` in the data folder."""
MATCH_DOOR = os.environ.get("HAVENLINE_MATCH_DOOR", "match")
"""What a server of the match service answers: `match`, or `hma`, the interface of Hasher-Matcher-Actioner."""
MATCH_STEP_NS = 0 if os.environ.get("HAVENLINE_MATCH_NO_DELAY") == "1" else 50_000_000
"""On which grid its answers go out, so that their time tells nothing; off by an installation's setting alone."""
DEBUG = False
SECRET_KEY = os.environ.get("HAVENLINE_SECRET_KEY", "") or "only for commands that sign nothing"
ORIGIN = os.environ.get("HAVENLINE_ORIGIN", "").rstrip("/")
"""Where browsers see the desk, for example https://desk.example.org; empty: as requests say, within HAVENLINE_HOSTS."""
ALLOWED_HOSTS = os.environ.get("HAVENLINE_HOSTS", "127.0.0.1 localhost").split()
CSRF_TRUSTED_ORIGINS: list[str] = []
if ORIGIN:
    ALLOWED_HOSTS.append(urlsplit(ORIGIN).hostname or "")
    CSRF_TRUSTED_ORIGINS.append(ORIGIN)
ALLOW_TOTP = os.environ.get("HAVENLINE_ALLOW_TOTP") == "1"
"""Whether codes of an authenticator app may stand in for passkeys; they can be phished, so the house must say so."""
OIDC_ISSUER = os.environ.get("HAVENLINE_OIDC_ISSUER", "").rstrip("/")
OIDC_NAME = os.environ.get("HAVENLINE_OIDC_NAME", "") or urlsplit(OIDC_ISSUER).hostname or ""
"""The organisation's OpenID Connect provider, in place of passwords; the second factor stays here. Empty: none."""
TRUSTED_PROXIES = int(os.environ.get("HAVENLINE_TRUSTED_PROXIES", "0"))
"""How many proxies of the house stand before the desk and write X-Forwarded-For and X-Forwarded-Proto."""
SECURE_LOOPBACK = os.environ.get("HAVENLINE_PLAIN_LOOPBACK") == "1"


def _database(conninfo: str) -> dict[str, object]:
    parts = conninfo_to_dict(conninfo)
    named = {key: str(parts.pop(key, "") or "") for key in ("dbname", "user", "password", "host", "port")}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": named["dbname"],
        "USER": named["user"],
        "PASSWORD": named["password"],
        "HOST": named["host"],
        "PORT": named["port"],
        "OPTIONS": parts,
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }


DATABASES = {"default": _database(os.environ.get("HAVENLINE_DATABASE_URL", "dbname=havenline"))}
if owner := os.environ.get("HAVENLINE_OWNER_URL"):
    # Only set-up signs in as the owner of the tables; the desk may neither change them nor edit what is final.
    DATABASES["owner"] = _database(owner)

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "csp",
    "havenline_desk.apps.DeskConfig",  # before allauth: its templates are ours
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "havenline_desk.sites.headers.sessions_in_force",
    "allauth.account.middleware.AccountMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "havenline_desk.sites.headers.never_stored",
    "havenline_desk.sites.headers.refused_without_log",
]
ROOT_URLCONF = "havenline_desk.sites.urls"
WSGI_APPLICATION = "havenline_desk.sites.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": ["havenline_desk.pages.told"],
            "context_processors": [
                "django.template.context_processors.request",
                "havenline_desk.pages.layout.layout",
            ],
        },
    }
]

AUTH_USER_MODEL = "desk.Person"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 14}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
# Of allauth only its OpenID Connect client is used: no sign-up, no e-mail, no page and no account of its own.
ACCOUNT_USER_MODEL_USERNAME_FIELD = "name"
ACCOUNT_USER_MODEL_EMAIL_FIELD = None
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
SOCIALACCOUNT_ADAPTER = "havenline_desk.pages.organisation.OnlyEnrolled"
SOCIALACCOUNT_AUTO_SIGNUP = False
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_LOGIN_ON_GET = True
SOCIALACCOUNT_REQUESTS_TIMEOUT = 10


def _secret_of(path: str) -> str:
    if urlsplit(OIDC_ISSUER).scheme != "https" and urlsplit(OIDC_ISSUER).hostname not in {"127.0.0.1", "localhost"}:
        raise HavenlineError("HAVENLINE_OIDC_ISSUER must begin with https://: its word is taken because of TLS alone")
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise HavenlineError(f"HAVENLINE_OIDC_SECRET_FILE must name a file with the client's secret: {error}") from None


SOCIALACCOUNT_PROVIDERS: dict[str, dict[str, list[object]]] = {"openid_connect": {"APPS": []}}
if OIDC_ISSUER:
    SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"].append(
        {
            "provider_id": "organisation",
            "name": OIDC_NAME,
            "client_id": os.environ.get("HAVENLINE_OIDC_CLIENT", ""),
            "secret": _secret_of(os.environ.get("HAVENLINE_OIDC_SECRET_FILE", "")),
            "settings": {
                "server_url": OIDC_ISSUER,
                "fetch_userinfo": False,
                "oauth_pkce_enabled": True,
                "scope": ["openid"],
            },
        }
    )
LOGIN_URL = "/sign-in"
LOGIN_REDIRECT_URL = "/"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("es", "Español"), ("ar", "العربية")]  # each by its own name, for who reads no other
LOCALE_PATHS = [Path(__file__).parents[1] / "locale"]
LANGUAGE_COOKIE_NAME = "language" if SECURE_LOOPBACK else "__Host-language"
LANGUAGE_COOKIE_SECURE = not SECURE_LOOPBACK
LANGUAGE_COOKIE_HTTPONLY = True
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

SESSION_ABSOLUTE = dt.timedelta(hours=float(os.environ.get("HAVENLINE_SESSION_HOURS", "8")))
SESSION_IDLE = dt.timedelta(minutes=float(os.environ.get("HAVENLINE_IDLE_MINUTES", "15")))
SIGN_IN_TRIES_PER_ACCOUNT = 5
SIGN_IN_TRIES_PER_ADDRESS = 30
"""Attempts within 15 minutes; those that succeed do not count. A house behind one address shares its number."""
# The rows of people's sessions decide, and log, when one is over; the browser's outlives them a little.
SESSION_COOKIE_AGE = int(SESSION_ABSOLUTE.total_seconds()) + 3600
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Strict"
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
# A browser keeps Secure cookies away from plain http; loopback is the one place where plain http is served.
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = not SECURE_LOOPBACK
# Browsers take the __Host- prefix only over TLS, and only without a domain and for the whole host.
SESSION_COOKIE_NAME = "sessionid" if SECURE_LOOPBACK else "__Host-sessionid"
CSRF_COOKIE_NAME = "csrftoken" if SECURE_LOOPBACK else "__Host-csrftoken"
if TRUSTED_PROXIES:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = not SECURE_LOOPBACK
SECURE_REDIRECT_EXEMPT = [r"^ready$"]  # asked on loopback by whatever started the server
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SILENCED_SYSTEM_CHECKS = ["security.W021"]  # browsers' preload list would publish the name of a staff desk
SECURE_HSTS_SECONDS = 0 if SECURE_LOOPBACK else 31_536_000
# Not "no-referrer": browsers then send "Origin: null" with every form, and the CSRF check refuses it.
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "havenline_desk.sites.quiet_log.WithoutValues",
            "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
        }
    },
    "filters": {"addresses": {"()": "havenline_desk.sites.quiet_log.WithoutAddresses"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["addresses"]}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}
