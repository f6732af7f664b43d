from django.apps import AppConfig


class DeskConfig(AppConfig):
    name = "havenline_desk"
    label = "desk"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from django.core import checks

        from .ways_in import undeclared_ways_in

        checks.register(undeclared_ways_in, checks.Tags.security)
