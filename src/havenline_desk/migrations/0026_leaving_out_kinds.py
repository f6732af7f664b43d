from django.db import migrations, models

DELETE_ENDED = "DELETE FROM desk_optout WHERE ended_at IS NOT NULL OR until <= now()"


class Migration(migrations.Migration):
    dependencies = [
        ("desk", "0025_lists"),
    ]

    operations = [
        migrations.AddField(
            model_name="importjob",
            name="stage",
            field=models.CharField(
                choices=[
                    ("reading", "reading files"),
                    ("matching", "looking them up in lists"),
                    ("stacking", "forming stacks"),
                ],
                default="reading",
                max_length=16,
            ),
        ),
        migrations.AddField(model_name="importjob", name="stage_done", field=models.IntegerField(default=0)),
        migrations.AddField(model_name="importjob", name="stage_of", field=models.IntegerField(default=0)),
        migrations.AddField(
            model_name="calibrationresult",
            name="outdated",
            field=models.BooleanField(default=False),
        ),
        migrations.RunSQL(DELETE_ENDED, migrations.RunSQL.noop),
        migrations.RemoveConstraint(model_name="optout", name="opt_out_of_one_thing"),
        migrations.RemoveField(model_name="optout", name="ended_at"),
        migrations.AddField(
            model_name="optout",
            name="media",
            field=models.CharField(
                blank=True, choices=[("film", "films"), ("picture", "pictures")], default="", max_length=16
            ),
            preserve_default=False,
        ),
        migrations.AddConstraint(
            model_name="optout",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("investigation", None), ("media", ""), ("pool__isnull", False)),
                    models.Q(("investigation__isnull", False), ("media", ""), ("pool", None)),
                    models.Q(("investigation", None), ("media__in", ["film", "picture"]), ("pool", None)),
                    _connector="OR",
                ),
                name="opt_out_of_one_thing",
            ),
        ),
    ]
