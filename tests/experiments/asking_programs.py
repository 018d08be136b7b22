"""An external program that asks the API with a token."""

from __future__ import annotations

import json
from typing import Any

from django.test import Client

from experiments.team.services import tokens
from tests import cast

HERE = "/api/v1/projects/digits"
EVERY_SCOPE = ("read", "write", "decide")


class Program:
    """Asks in the name of somebody of the cast; `project` binds its token."""

    def __init__(
        self, who: str = "ada", scopes: tuple[str, ...] = EVERY_SCOPE, project: Any = None
    ) -> None:
        self.client = Client()
        self.token, self.secret = tokens.create(
            user=cast.person(who), project=project, name="program", scopes=scopes
        )

    def ask(self, method: str, address: str, body: Any = None) -> tuple[int, Any]:
        """Status and JSON of an answer, its text where it is none."""
        raw = b"" if body is None else json.dumps(body).encode()
        answer = self.client.generic(
            method,
            address,
            raw,
            content_type="application/json",
            headers={"Authorization": f"Bearer {self.secret}"},
        )
        content = b"".join(answer) if answer.streaming else answer.content
        if content and answer.headers["Content-Type"].partition(";")[0] == "application/json":
            return answer.status_code, json.loads(content)
        return answer.status_code, content.decode(errors="replace")

    def get(self, address: str) -> Any:
        status, answer = self.ask("GET", address)
        assert status == 200, answer
        return answer

    def post(self, address: str, body: Any = None) -> tuple[int, Any]:
        return self.ask("POST", address, body)
