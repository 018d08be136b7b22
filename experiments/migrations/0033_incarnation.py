from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

_CREATE = """
CREATE UNLOGGED TABLE experiments_incarnation (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    token uuid NOT NULL DEFAULT gen_random_uuid()
)
"""


def create(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        editor.execute(_CREATE)


def drop(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor == "postgresql":
        editor.execute("DROP TABLE experiments_incarnation")


class Migration(migrations.Migration):
    dependencies = (("experiments", "0032_runs_tables"),)
    operations = (migrations.RunPython(create, drop),)
