"""Rename the group of candidates that are declared together."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("experiments", "0022_first_trials_that_fail")]

    operations = [
        migrations.RenameField("replication", "first_of_family", "first_of_group"),
        migrations.AlterField(
            "replication",
            "first_of_group",
            models.ForeignKey(
                "experiments.replication",
                models.CASCADE,
                null=True,
                blank=True,
                related_name="others_of_group",
            ),
        ),
    ]
