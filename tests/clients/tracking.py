"""Runs, searches and files with MLflow's own client, 2.22 or 3.x, unmodified."""

import math
import pathlib
import tempfile

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType

mlflow.set_experiment("with its client")
with mlflow.start_run(run_name="a run", tags={"team": "vision"}) as run:
    mlflow.log_params({"lr": 0.1, "optimizer": "adam", "seed": 3, "x y": "1e-05"})
    for step in range(5):
        mlflow.log_metric("val_acc", step / 10, step=step)
    mlflow.log_metrics({"loss": math.nan, "inf": math.inf}, step=2)
    with mlflow.start_run(nested=True, run_name="child"):
        mlflow.log_metric("val_acc", 0.99)
client, run_id = MlflowClient(), run.info.run_id
stored = client.get_run(run_id)
assert stored.info.status == "FINISHED" and stored.info.run_name == "a run"
assert stored.data.params == {"lr": "0.1", "optimizer": "adam", "seed": "3", "x y": "1e-05"}
assert math.isnan(stored.data.metrics["loss"]) and stored.data.metrics["val_acc"] == 0.4
history = client.get_metric_history(run_id, "val_acc")
assert [(point.step, point.value) for point in history] == [(i, i / 10) for i in range(5)]

key = mlflow.get_experiment_by_name("with its client").experiment_id


def found(text: str = "", **more: object) -> list[str]:
    return [run.info.run_name for run in client.search_runs([key], text, **more)]


assert found("metrics.val_acc > 0.9") == ["child"]
assert found("params.optimizer = 'adam' and tags.team ILIKE 'VIS%'") == ["a run"]
assert found(f"tags.mlflow.parentRunId = '{run_id}'") == ["child"]
assert found(order_by=["metrics.val_acc DESC"]) == ["child", "a run"]
try:
    client.log_param(run_id, "lr", "7")
except mlflow.exceptions.MlflowException as error:
    assert "Changing param values is not allowed" in str(error)
else:
    raise AssertionError("a parameter changed")
with mlflow.start_run(run_id=run_id):
    mlflow.log_metric("val_acc", 2.0, step=9)
metrics = [Metric(f"m{i % 7}", i, 1000 + i, i) for i in range(1000)]
client.log_batch(run_id, metrics, [Param("late", "1")], [RunTag("q", "w")])
assert client.get_run(run_id).data.metrics["val_acc"] == 2.0
assert len(client.get_metric_history(run_id, "m3")) == 143
client.delete_run(run_id)
assert found() == ["child"] and len(found(run_view_type=ViewType.ALL)) == 2
client.restore_run(run_id)
client.rename_experiment(key, "renamed")
assert mlflow.get_experiment_by_name("renamed").experiment_id == key

folder = pathlib.Path(tempfile.mkdtemp())
(folder / "sub").mkdir()
content = bytes(range(256)) * 12_000
(folder / "sub" / "b b.bin").write_bytes(content)
client.log_artifacts(run_id, str(folder), "folder")
client.log_text(run_id, "some text", "notes/x.md")
client.log_dict(run_id, {"a": 1}, "conf.json")
assert [artifact.path for artifact in client.list_artifacts(run_id)] == [
    "conf.json",
    "folder",
    "notes",
]
back = pathlib.Path(client.download_artifacts(run_id, "folder"))
assert (back / "sub" / "b b.bin").read_bytes() == content
print("done")
