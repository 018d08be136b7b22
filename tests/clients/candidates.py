"""Two candidates, one with its model, logged with MLflow 3."""

import mlflow
from mlflow import MlflowClient
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

key = mlflow.set_experiment("candidates").experiment_id
client = MlflowClient()
client.set_experiment_tag(key, "verdict.official_metric", "validation_accuracy")
x, y = load_iris(return_X_y=True)
for strength, score in ((0.1, 0.91), (1.0, 0.97)):
    with mlflow.start_run(run_name=f"C={strength}"):
        mlflow.log_params({"C": strength, "seed": 3})
        mlflow.log_metric("validation_accuracy", score, step=1)
        if strength == 1.0:
            model = LogisticRegression(C=strength, max_iter=200).fit(x, y)
            mlflow.sklearn.log_model(model, name="model")
print("done")
