from django.apps import AppConfig


class DeskConfig(AppConfig):
    name = "havenline_desk"
    label = "desk"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.core import checks

        from .gates import undeclared_routes

        checks.register(undeclared_routes, checks.Tags.security)
