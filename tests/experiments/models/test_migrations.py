"""A squashed migration leaves what those that it replaces leave."""

from __future__ import annotations

from typing import Any

from django.db.migrations.loader import MigrationLoader

SQUASHED = ("experiments", "0001_squashed_0039_project_changes")


def _tables(name: str, *, squashed: bool) -> dict[str, Any]:
    """Fields, constraints and indexes of each model after a migration."""
    loader = MigrationLoader(None, replace_migrations=squashed)
    models = loader.project_state([("experiments", name)]).models
    found = {}
    for (app, model), state in models.items():
        if app == "experiments":
            fields = {name: field.deconstruct()[1:] for name, field in state.fields.items()}
            kept = {option.name: option for key in ("constraints", "indexes")
                    for option in state.options.pop(key, [])}  # fmt: skip
            found[model] = (fields, kept, state.options, state.bases)
    return found


def test_the_squashed_migration_makes_the_tables_of_those_that_it_replaces() -> None:
    replaced = MigrationLoader(None).disk_migrations[SQUASHED].replaces
    assert replaced[0][1] == "0001_initial" and len(replaced) == 39
    before = _tables(replaced[-1][1], squashed=False)
    after = _tables(SQUASHED[1], squashed=True)
    assert set(before) == set(after) and len(before) > 25
    for model, told in before.items():
        assert after[model] == told, model
