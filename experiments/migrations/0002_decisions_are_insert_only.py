"""The database itself refuses to change or remove a decision."""

from __future__ import annotations

from typing import Any

from django.db import migrations

TABLE = "experiments_decision"

POSTGRESQL = f"""
CREATE FUNCTION verdict_refuse_decision_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'decisions are insert-only: % refused', TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER verdict_decision_no_change BEFORE UPDATE OR DELETE ON {TABLE}
    FOR EACH ROW EXECUTE FUNCTION verdict_refuse_decision_change();
CREATE TRIGGER verdict_decision_no_truncate BEFORE TRUNCATE ON {TABLE}
    FOR EACH STATEMENT EXECUTE FUNCTION verdict_refuse_decision_change();
"""

POSTGRESQL_UNDO = f"""
DROP TRIGGER verdict_decision_no_change ON {TABLE};
DROP TRIGGER verdict_decision_no_truncate ON {TABLE};
DROP FUNCTION verdict_refuse_decision_change();
"""

# INSERT OR REPLACE deletes without firing delete triggers (unless recursive_triggers is on),
# so a third trigger refuses to insert over an existing key.
SQLITE = (
    f"""CREATE TRIGGER verdict_decision_no_update BEFORE UPDATE ON {TABLE}
        BEGIN SELECT RAISE(ABORT, 'decisions are insert-only: UPDATE refused'); END""",
    f"""CREATE TRIGGER verdict_decision_no_delete BEFORE DELETE ON {TABLE}
        BEGIN SELECT RAISE(ABORT, 'decisions are insert-only: DELETE refused'); END""",
    f"""CREATE TRIGGER verdict_decision_no_replace BEFORE INSERT ON {TABLE}
        WHEN EXISTS (
            SELECT 1 FROM {TABLE}
            WHERE id = NEW.id OR hash = NEW.hash OR previous_hash = NEW.previous_hash
               OR (project_id = NEW.project_id AND sequence = NEW.sequence)
        )
        BEGIN SELECT RAISE(ABORT, 'UNIQUE constraint failed: decisions are insert-only'); END""",
)
SQLITE_UNDO = (
    "DROP TRIGGER verdict_decision_no_update",
    "DROP TRIGGER verdict_decision_no_delete",
    "DROP TRIGGER verdict_decision_no_replace",
)


def _run(editor: Any, postgresql: str, sqlite: tuple[str, ...]) -> None:
    if editor.connection.vendor == "postgresql":
        editor.execute(postgresql, params=None)  # its % signs are its own
    else:
        for statement in sqlite:
            editor.execute(statement)


def protect(apps: Any, editor: Any) -> None:
    _run(editor, POSTGRESQL, SQLITE)


def unprotect(apps: Any, editor: Any) -> None:
    _run(editor, POSTGRESQL_UNDO, SQLITE_UNDO)


class Migration(migrations.Migration):
    dependencies = (("experiments", "0001_initial"),)
    operations = (migrations.RunPython(protect, unprotect),)
