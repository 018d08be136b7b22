"""Snippets that log a project's first run, each with the address that belongs into it."""

from __future__ import annotations

from dataclasses import dataclass

TOKEN = "vd_..."  # where none was made yet


@dataclass(frozen=True, slots=True)
class Snippet:
    """`code` is ready to be copied; `before` is what the shell is told first."""

    key: str
    title: str
    before: str
    code: str


def snippets(server: str, slug: str, token: str = "") -> tuple[Snippet, ...]:
    """A snippet for each way to log; `server` is the address of this one, without a slash."""
    secret = token or TOKEN
    tracker = (
        f"export MLFLOW_TRACKING_URI={server}/projects/{slug}\n"
        f"export MLFLOW_TRACKING_TOKEN={secret}\n"
    )
    own = f"export VERDICT_URL={server}\nexport VERDICT_TOKEN={secret}\n"
    return (
        Snippet("mlflow", "MLflow", tracker + "pip install mlflow-skinny\n", _MLFLOW),
        Snippet("lightning", "Lightning", tracker + "pip install lightning mlflow\n", _LIGHTNING),
        Snippet("hugging-face", "Hugging Face", tracker + _FACE_SHELL, _FACE),
        Snippet("python", "Plain Python", own, _PYTHON.format(slug=slug)),
        Snippet("curl", "curl", own, _CURL.format(slug=slug)),
    )


_MLFLOW = """\
import mlflow

mlflow.set_experiment("first experiment")
with mlflow.start_run(run_name="first run"):
    mlflow.log_params({"learning_rate": 0.01, "seed": 1})
    for step in range(100):
        mlflow.log_metric("val_loss", 1 / (step + 1), step=step)
"""
_LIGHTNING = """\
from lightning import Trainer
from lightning.pytorch.loggers import MLFlowLogger

trainer = Trainer(logger=MLFlowLogger(experiment_name="first experiment"))
trainer.fit(model, data)  # yours
"""
_FACE_SHELL = """\
export MLFLOW_EXPERIMENT_NAME="first experiment"
pip install transformers mlflow
"""
_FACE = """\
from transformers import Trainer, TrainingArguments

arguments = TrainingArguments("out", report_to="mlflow", eval_strategy="epoch")
Trainer(model, arguments, train_dataset=train, eval_dataset=validation).train()  # yours
"""
_PYTHON = """\
import verdict  # client/verdict.py: one file, nothing to install

params = {{"learning_rate": 0.01}}
with verdict.run(
    project="{slug}", experiment="first experiment", params=params, train_seed=1
) as run:
    for step in range(100):
        run.log({{"val_loss": 1 / (step + 1)}}, step=step)
"""
_CURL = """\
run=$(curl -s "$VERDICT_URL/api/v1/runs" -H "Authorization: Bearer $VERDICT_TOKEN" \\
  -d '{{"project": "{slug}", "experiment": "first experiment", "params": {{"lr": 0.01}}}}' \\
  | sed 's/.*"id": *\\([0-9]*\\).*/\\1/')
curl "$VERDICT_URL/api/v1/runs/$run/points" -H "Authorization: Bearer $VERDICT_TOKEN" \\
  -d '{{"batch": 0, "points": [{{"step": 1, "metrics": {{"val_loss": 0.5}}}}]}}'
curl "$VERDICT_URL/api/v1/runs/$run/finish" -H "Authorization: Bearer $VERDICT_TOKEN" \\
  -d '{{"state": "complete"}}'
"""
