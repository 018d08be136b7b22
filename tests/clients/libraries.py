"""Libraries that log with MLflow: XGBoost, Optuna, Lightning, Transformers, its commands."""

import os
import subprocess
import sys

import lightning
import mlflow
import numpy as np
import optuna
import torch
import xgboost
from lightning.pytorch.loggers import MLFlowLogger
from mlflow import MlflowClient
from optuna_integration.mlflow import MLflowCallback
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainingArguments

URI = os.environ["MLFLOW_TRACKING_URI"]
client = MlflowClient()
rng = np.random.default_rng(0)
x = rng.normal(size=(64, 3)).astype("float32")
y = (x[:, 0] > 0).astype("int64")


def runs_of(experiment: str) -> list[mlflow.entities.Run]:
    key = client.get_experiment_by_name(experiment).experiment_id
    return list(client.search_runs([key]))


mlflow.set_experiment("xgboost")
mlflow.xgboost.autolog(log_models=False)
with mlflow.start_run():
    matrix = xgboost.DMatrix(x, label=y)
    xgboost.train({"objective": "binary:logistic", "max_depth": 2, "seed": 5}, matrix,
                  num_boost_round=4, evals=[(matrix, "train")], verbose_eval=False)  # fmt: skip
(run,) = runs_of("xgboost")
assert run.data.params["max_depth"] == "2" and run.data.params["seed"] == "5"
history = client.get_metric_history(run.info.run_id, "train-logloss")
assert [point.step for point in history] == [0, 1, 2, 3]
mlflow.autolog(disable=True)

callback = MLflowCallback(tracking_uri=URI, metric_name="loss")
study = optuna.create_study(study_name="optuna", sampler=optuna.samplers.RandomSampler(seed=0))
study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, 3, callbacks=[callback])
logged = {run.data.params["x"]: run.data.metrics["loss"] for run in runs_of("optuna")}
assert logged == {str(trial.params["x"]): trial.value for trial in study.trials}


class Line(lightning.LightningModule):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.line = torch.nn.Linear(3, width)

    def training_step(self, batch: list[torch.Tensor]) -> torch.Tensor:
        loss = torch.nn.functional.cross_entropy(self.line(batch[0]), batch[1])
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


data = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
trainer = lightning.Trainer(
    max_epochs=2, logger=MLFlowLogger("lightning", tracking_uri=URI), log_every_n_steps=1,
    enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    accelerator="cpu",
)  # fmt: skip
trainer.fit(Line(2), torch.utils.data.DataLoader(data, batch_size=16))
(run,) = runs_of("lightning")
assert run.info.status == "FINISHED" and run.data.params["width"] == "2"
assert len(client.get_metric_history(run.info.run_id, "train_loss")) == 8

mlflow.set_experiment("pytorch")
mlflow.pytorch.autolog(log_models=False)
trainer = lightning.Trainer(
    max_epochs=2, logger=False, enable_checkpointing=False, enable_progress_bar=False,
    enable_model_summary=False, accelerator="cpu",
)  # fmt: skip
with mlflow.start_run():
    trainer.fit(Line(2), torch.utils.data.DataLoader(data, batch_size=16))
mlflow.pytorch.autolog(disable=True)
(run,) = runs_of("pytorch")
assert run.info.status == "FINISHED" and run.data.params["optimizer_name"] == "SGD"
history = client.get_metric_history(run.info.run_id, "train_loss")
assert len(history) == 2 and history[-1].value < history[0].value
assert [artifact.path for artifact in client.list_artifacts(run.info.run_id)] == [
    "model_summary.txt"
]

os.environ["MLFLOW_EXPERIMENT_NAME"] = "transformers"
config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
                    intermediate_size=8, num_labels=2)  # fmt: skip
examples = [{"input_ids": [i % 20, 1, 2], "labels": i % 2} for i in range(16)]
arguments = TrainingArguments(
    output_dir="trained", report_to=["mlflow"], run_name="tiny", max_steps=4, logging_steps=1,
    per_device_train_batch_size=4, save_strategy="no", use_cpu=True, disable_tqdm=True,
)  # fmt: skip
Trainer(BertForSequenceClassification(config), arguments, train_dataset=examples).train()
mlflow.end_run()
(run,) = runs_of("transformers")
assert run.info.run_name == "tiny" and run.data.params["hidden_size"] == "8"
assert len(client.get_metric_history(run.info.run_id, "loss")) == 4


def command(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", *words], capture_output=True, text=True, check=True
    )
    return done.stdout


key = run.info.experiment_id
assert "lightning" in command("experiments", "search")
assert run.info.run_id in command("experiments", "csv", "--experiment-id", key)
assert "tiny" in command("runs", "list", "--experiment-id", key)
assert '"hidden_size": "8"' in command("runs", "describe", "--run-id", run.info.run_id)
command("runs", "delete", "--run-id", run.info.run_id)
assert runs_of("transformers") == []
command("runs", "restore", "--run-id", run.info.run_id)
command("experiments", "rename", "--experiment-id", key, "--new-name", "tiny models")
assert len(runs_of("tiny models")) == 1
print("done")
