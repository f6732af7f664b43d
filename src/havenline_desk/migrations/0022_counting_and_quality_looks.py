import django.db.models.deletion
from django.db import migrations, models

FILL = """
UPDATE desk_assignment a SET investigation_id = s.investigation_id
FROM desk_stackrevision r JOIN desk_stack s ON s.id = r.stack_id WHERE r.id = a.revision_id;
SET CONSTRAINTS ALL IMMEDIATE
"""


class Migration(migrations.Migration):
    dependencies = [
        ("desk", "0017_releases"),
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
    ]
