"""Keep steps that are no whole numbers as they were told."""

from __future__ import annotations

from django.db import migrations

from experiments.models.step_field import StepField


class Migration(migrations.Migration):
    dependencies = [("experiments", "0020_findings_owed")]

    operations = [
        migrations.AlterField(model_name=model, name=name, field=StepField(blank=True, null=True))
        for model, name in (("trial", "latest_step"), ("trial", "best_step"), ("artifact", "step"))
    ]
