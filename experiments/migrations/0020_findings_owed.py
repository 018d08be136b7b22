"""Mark finished trials without findings, and searches whose findings across trials are missing."""

from __future__ import annotations

from typing import Any

from django.db import migrations, models
from django.db.models import Exists, F, OuterRef, Q


def mark_what_is_owed(apps: Any, editor: Any) -> None:
    """Searches with findings across trials are taken to have them all."""
    alias = editor.connection.alias
    trials = apps.get_model("experiments", "Trial").objects.using(alias)
    finished = trials.filter(state__in=(1, 2, 3), study__kind="search", curve_reading=None)
    trials.filter(pk__in=finished.values("pk")).update(findings_due=True)
    findings = apps.get_model("experiments", "Finding").objects.using(alias)
    found = findings.filter(experiment=OuterRef("pk"), trial=None)
    experiments = apps.get_model("experiments", "Experiment").objects.using(alias)
    experiments.filter(Exists(found)).update(derived_count=F("trial_count"))


class Migration(migrations.Migration):
    dependencies = [("experiments", "0019_whole_documents")]

    operations = [
        migrations.AddField(
            model_name="experiment",
            name="derived_count",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="trial",
            name="findings_due",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.RunPython(mark_what_is_owed, migrations.RunPython.noop),
        migrations.AddIndex(
            model_name="experiment",
            index=models.Index(
                condition=Q(("derived_count__lt", F("trial_count"))),
                fields=["active_at"],
                name="experiment_derived_due",
            ),
        ),
        migrations.AddIndex(
            model_name="trial",
            index=models.Index(
                condition=Q(("findings_due", True)),
                fields=["finished_at"],
                name="trial_findings_due",
            ),
        ),
    ]
