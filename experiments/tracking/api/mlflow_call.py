"""One call of an MLflow client: who asks, at which project's address, for what."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from experiments.errors import NotAllowed, NotFound
from experiments.team.queries import token_access
from experiments.team.queries.access import Access, get_project
from experiments.team.queries.token_access import ApiToken
from experiments.tracking.mlflow_errors import MlflowError
from experiments.tracking.mlflow_fields import Fields
from experiments.tracking.queries import mlflow_runs
from experiments.tracking.queries.mlflow_runs import ACTIVE, ALL, DELETED, FoundRun

Handler = Callable[["Call"], dict[str, Any] | None]
MOST_RESULTS = 50_000
MOST_EXPERIMENTS = 1000  # of one search


@dataclass(frozen=True, slots=True)
class Call:
    """`slug` is empty at the bare server's address."""

    token: ApiToken
    slug: str
    fields: Fields

    def need(self, scope: str) -> None:
        """Pass when the token has the scope.

        Raises:
            NotAllowed: when it was made without it.
        """
        if scope not in self.token.scopes.split():
            raise NotAllowed(f"This token lacks the scope {scope}; make one that has it.")

    def check_project(self) -> None:
        """Pass when the token opens the project at whose address the call is.

        Raises:
            NotFound: for one that it does not open.
        """
        if self.slug and not token_access.opens(self.token, self.slug):
            raise NotFound(f"There is no project {self.slug}.")
        if self.slug:
            get_project(self.token.owner, self.slug)

    def access(self, slug: str) -> Access:
        """A project as the token's owner meets it, who writes."""
        self.need("write")
        return get_project(self.token.owner, slug)

    def run(self) -> FoundRun:
        """The run that the call names."""
        return mlflow_runs.find(self.token, self.slug, self.fields.run_id())

    def run_to_write(self) -> FoundRun:
        """The run that the call names, for somebody who may write to it."""
        self.need("write")
        run = self.run()
        run.require_write()
        return run

    def view(self, name: str) -> str:
        """View that is wanted: of active records, of deleted ones, or of all."""
        wanted = self.fields.text(name) or ACTIVE
        if wanted not in (ACTIVE, DELETED, ALL):
            raise MlflowError(
                f"Invalid value for parameter '{name}': expected {ACTIVE}, {DELETED} or {ALL}."
            )
        return wanted

    def experiment_ids(self) -> list[int]:
        """Experiments that a search names; what can be no id is left out."""
        named = self.fields.texts("experiment_ids")
        if len(named) > MOST_EXPERIMENTS:
            raise MlflowError(f"A search names at most {MOST_EXPERIMENTS} experiments.")
        return [int(key) for key in named if key.isascii() and key.isdigit() and len(key) < 19]

    def offset(self) -> int:
        """First place of the page that the call's token names."""
        token = self.fields.text("page_token")
        if not token:
            return 0
        try:
            offset = json.loads(base64.b64decode(token, validate=True))["offset"]
        except (ValueError, TypeError, KeyError, RecursionError):
            offset = None
        if type(offset) is not int or not 0 <= offset < 2**31:
            raise MlflowError("Invalid page token, could not base64-decode")
        return offset


def next_page(offset: int) -> dict[str, str]:
    """Token of the page that begins there."""
    return {"next_page_token": base64.b64encode(json.dumps({"offset": offset}).encode()).decode()}
