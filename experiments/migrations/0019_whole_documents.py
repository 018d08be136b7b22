"""Store each experiment's whole file as JSON, so that nothing reads its YAML again."""

from __future__ import annotations

from typing import Any

from django.db import migrations

from experiments.design.document import experiment_file
from experiments.errors import InvalidExperiment


def write_documents(apps: Any, editor: Any) -> None:
    """A file that today's rules refuse keeps its old document; such an experiment only shows."""
    experiments = apps.get_model("experiments", "Experiment").objects.using(
        editor.connection.alias
    )
    rows = experiments.exclude(source="").values_list("pk", "source")
    for key, source in rows.iterator(chunk_size=200):
        try:
            document = experiment_file.as_document(experiment_file.parse(source))
        except InvalidExperiment:
            continue
        experiments.filter(pk=key).update(document=document)


class Migration(migrations.Migration):
    dependencies = [("experiments", "0018_batch_size_jobs")]

    operations = [migrations.RunPython(write_documents, migrations.RunPython.noop)]
