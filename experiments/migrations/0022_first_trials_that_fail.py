"""Count the first trials that failed with one cause, for which a search was paused."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("experiments", "0021_steps_between_whole_numbers")]

    operations = [
        migrations.AddField(
            model_name="experiment",
            name="failed_alike",
            field=models.PositiveIntegerField(db_default=0, default=0),
        )
    ]
