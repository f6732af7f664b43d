import uuid

import django.contrib.postgres.functions
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("desk", "0024_webhooks"),
    ]

    operations = [
        migrations.CreateModel(
            name="AlterationApart",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "audit_id",
                    models.UUIDField(
                        db_default=django.contrib.postgres.functions.RandomUUID(),
                        default=uuid.uuid4,
                        editable=False,
                        unique=True,
                    ),
                ),
                ("radius", models.PositiveSmallIntegerField()),
                ("shown_at", models.DateTimeField()),
                (
                    "original",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="+", to="desk.file"),
                ),
                (
                    "outcome",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="apart", to="desk.outcome"
                    ),
                ),
                (
                    "proposal",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="desk.proposal"
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="ConfirmingPair",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "audit_id",
                    models.UUIDField(
                        db_default=django.contrib.postgres.functions.RandomUUID(),
                        default=uuid.uuid4,
                        editable=False,
                        unique=True,
                    ),
                ),
                ("opened_at", models.DateTimeField()),
                (
                    "asked_by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
                (
                    "outcome",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="confirming", to="desk.outcome"
                    ),
                ),
                (
                    "revision",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="confirming", to="desk.stackrevision"
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="PairResult",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "audit_id",
                    models.UUIDField(
                        db_default=django.contrib.postgres.functions.RandomUUID(),
                        default=uuid.uuid4,
                        editable=False,
                        unique=True,
                    ),
                ),
                (
                    "verdict",
                    models.CharField(
                        choices=[
                            ("agrees", "both agree with what stands"),
                            ("differs", "both agree with each other, and not with what stands"),
                            ("split", "the two differ"),
                        ],
                        max_length=8,
                    ),
                ),
                ("found_at", models.DateTimeField()),
                (
                    "pair",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="result", to="desk.confirmingpair"
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="TrustStep",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "audit_id",
                    models.UUIDField(
                        db_default=django.contrib.postgres.functions.RandomUUID(),
                        default=uuid.uuid4,
                        editable=False,
                        unique=True,
                    ),
                ),
                (
                    "change",
                    models.CharField(
                        choices=[
                            ("pinned", "a publisher's root was pinned"),
                            ("heard", "a person heard a publisher's fingerprint"),
                            ("revoked", "a publisher was revoked"),
                            ("root_staged", "a root of this house was put down for signing"),
                            ("staged", "lists were sealed and put down for signing"),
                            ("published", "what enough people had signed was published"),
                            ("renewed", "the timestamp was signed anew"),
                        ],
                        max_length=16,
                    ),
                ),
                ("name", models.CharField(max_length=64)),
                ("version", models.PositiveIntegerField(null=True)),
                ("digest", models.CharField(blank=True, max_length=64)),
                ("taken_at", models.DateTimeField()),
                (
                    "person",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="ListLookedUp",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "audit_id",
                    models.UUIDField(
                        db_default=django.contrib.postgres.functions.RandomUUID(),
                        default=uuid.uuid4,
                        editable=False,
                        unique=True,
                    ),
                ),
                ("exchange", models.CharField(help_text="name of its folder", max_length=64)),
                ("agreed", models.CharField(max_length=32)),
                ("looked_up_at", models.DateTimeField()),
                (
                    "investigation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="desk.investigation"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("agreed", "investigation"), name="once_for_each_activation")
                ],
            },
        ),
    ]
