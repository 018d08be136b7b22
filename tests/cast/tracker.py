"""A program that logs with MLflow's REST protocol, call by call as its clients make them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from django.test import Client

from experiments.team.services import tokens
from tests.cast.people import person

START = 1_700_000_000_000  # ms since 1970


class Tracker:
    """A client of MLflow at a project's address."""

    def __init__(self, who: str = "cleo", slug: str = "digits", **more: Any) -> None:
        self.client = Client()
        given = {"project": None, "scopes": ("read", "write"), "name": "laptop"} | more
        _, self.secret = tokens.create(user=person(who), **given)
        self.base = f"/projects/{slug}/api/2.0/mlflow/" if slug else "/api/2.0/mlflow/"

    def send(self, method: str, call: str, **fields: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.secret}"}
        if method == "GET":
            path = f"{self.base}{call}?{urlencode(fields, doseq=True)}"
            answer = self.client.get(path, headers=headers)
        else:
            body = json.dumps(fields)
            answer = self.client.post(self.base + call, body, "application/json", headers=headers)
        return answer.status_code, json.loads(answer.content)

    def post(self, call: str, **fields: Any) -> Any:
        status, answer = self.send("POST", call, **fields)
        assert status == 200, answer
        return answer

    def get(self, call: str, **fields: Any) -> Any:
        status, answer = self.send("GET", call, **fields)
        assert status == 200, answer
        return answer

    def refused(self, call: str, **fields: Any) -> tuple[int, str, str]:
        """Status, code and message of a refused call; `method` GET or POST."""
        status, answer = self.send(fields.pop("method", "POST"), call, **fields)
        assert set(answer) == {"error_code", "message"}, answer
        return status, answer["error_code"], answer["message"]

    def experiment(self, name: str = "from lightning", **fields: Any) -> str:
        found: str = self.post("experiments/create", name=name, **fields)["experiment_id"]
        return found

    def run(self, experiment: str, **fields: Any) -> str:
        answer = self.post("runs/create", experiment_id=experiment, **fields)
        found: str = answer["run"]["info"]["run_id"]
        return found

    def log(self, run: str, key: str, *values: Any, first: int = 0) -> None:
        points = [
            {"key": key, "value": value, "timestamp": START + step, "step": step}
            for step, value in enumerate(values, first)
        ]
        self.post("runs/log-batch", run_id=run, metrics=points, params=[], tags=[])

    def param(self, run: str, **values: str) -> None:
        told = [{"key": key, "value": value} for key, value in values.items()]
        self.post("runs/log-batch", run_id=run, params=told)

    def end(self, run: str, status: str = "FINISHED", end_time: int = START + 60_000) -> Any:
        return self.post("runs/update", run_id=run, status=status, end_time=end_time)

    def read(self, run: str) -> Any:
        return self.get("runs/get", run_id=run)["run"]

    def metrics(self, run: str) -> dict[str, Any]:
        return {metric["key"]: metric["value"] for metric in self.read(run)["data"]["metrics"]}

    def found(self, experiment: str, filter: str = "", **fields: Any) -> list[str]:
        """Names of the runs that a search finds."""
        answer = self.post("runs/search", experiment_ids=[experiment], filter=filter, **fields)
        return [run["info"]["run_name"] for run in answer["runs"]]
