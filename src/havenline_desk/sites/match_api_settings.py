"""Django settings of the match service: those of the desk, without its pages, sessions, cookies and templates."""

from __future__ import annotations

from .settings import *  # noqa: F403 - one installation, one set of settings

ROOT_URLCONF = "havenline_desk.sites.hma_urls" if MATCH_DOOR == "hma" else "havenline_desk.sites.match_api_urls"  # noqa: F405
# The sign-in of organisations insists on a middleware of its own, and nobody signs in here.
INSTALLED_APPS = [app for app in INSTALLED_APPS if not app.startswith("allauth")]  # noqa: F405
MIDDLEWARE = []
ALLOWED_HOSTS = ["*"]  # nothing here is built from the name that a caller gives this server
# What is sent is held in memory, as large as it may be; the handler that writes to a disk is not there at all.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
FILE_UPLOAD_MAX_MEMORY_SIZE = DATA_UPLOAD_MAX_MEMORY_SIZE = (64 << 20) + (1 << 20)
