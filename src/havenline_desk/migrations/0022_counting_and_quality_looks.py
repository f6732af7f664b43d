import uuid

import django.contrib.postgres.functions
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

STEPS = [
    ("first", "first assessment"),
    ("second", "second assessment"),
    ("third", "third person"),
    ("quality", "look at a sampled decision"),
]

FILL = """
UPDATE desk_assignment a SET investigation_id = s.investigation_id
FROM desk_stackrevision r JOIN desk_stack s ON s.id = r.stack_id WHERE r.id = a.revision_id;
SET CONSTRAINTS ALL IMMEDIATE
"""


class Migration(migrations.Migration):
    dependencies = [
        ("desk", "0021_incoming"),
    ]

    operations = [
        migrations.RemoveIndex(model_name="assessment", name="assessment_second"),
        migrations.AddField(
            model_name="assignment",
            name="investigation",
            field=models.ForeignKey(
                db_index=False,
                help_text="its stack's, for counting",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="desk.investigation",
            ),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.AlterField(
            model_name="assignment",
            name="investigation",
            field=models.ForeignKey(
                db_index=False,
                help_text="its stack's, for counting",
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="desk.investigation",
            ),
        ),
        migrations.AddIndex(
            model_name="assignment",
            index=models.Index(
                condition=models.Q(("done_at", None)),
                fields=["investigation", "opened_at"],
                name="assignment_open_here",
            ),
        ),
        migrations.AddIndex(
            model_name="assignment",
            index=models.Index(
                condition=models.Q(("step", "second")),
                fields=["investigation", "done_at"],
                name="assignment_second_done",
            ),
        ),
        migrations.AddIndex(
            model_name="assignment",
            index=models.Index(
                condition=models.Q(("step", "third")),
                fields=["investigation", "opened_at"],
                name="assignment_third_opened",
            ),
        ),
        migrations.AddIndex(
            model_name="item",
            index=models.Index(fields=["investigation", "file"], name="item_of_file"),
        ),
        migrations.AddIndex(
            model_name="outcome",
            index=models.Index(fields=["investigation", "file"], include=("status",), name="outcome_of_file"),
        ),
        migrations.RemoveConstraint(model_name="assignment", name="one_assignment_per_step"),
        migrations.AlterField(
            model_name="assignment",
            name="step",
            field=models.CharField(choices=STEPS, max_length=8),
        ),
        migrations.AlterField(
            model_name="assessment",
            name="step",
            field=models.CharField(choices=STEPS, max_length=8),
        ),
        migrations.AddConstraint(
            model_name="assignment",
            constraint=models.UniqueConstraint(
                condition=models.Q(("step", "quality"), _negated=True),
                fields=("revision", "step"),
                name="one_assignment_per_step",
            ),
        ),
        migrations.CreateModel(
            name="QualityLook",
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
                ("begun_at", models.DateTimeField()),
                (
                    "sampled",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="look", to="desk.sampledoutcome"
                    ),
                ),
                (
                    "assignment",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="quality_look", to="desk.assignment"
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="QualityFinding",
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
                            ("agrees", "agrees with what was decided"),
                            ("differs", "differs in some facts"),
                            ("reassess", "needs a new assessment by others"),
                            ("left", "not looked over"),
                        ],
                        max_length=16,
                    ),
                ),
                ("differing", models.JSONField(help_text="ids of the questions that would be answered otherwise")),
                ("ladder_step", models.SmallIntegerField(help_text="how closely it was viewed; 0 where it was not")),
                ("found_at", models.DateTimeField()),
                (
                    "look",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="finding", to="desk.qualitylook"
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="QualityReview",
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
                    "finding",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="review", to="desk.qualityfinding"
                    ),
                ),
                (
                    "outcome",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="review", to="desk.outcome"
                    ),
                ),
                (
                    "revision",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT, related_name="review", to="desk.stackrevision"
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
    ]
