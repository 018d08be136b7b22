"""Autologging of scikit-learn, models loaded back, and runs as a table, with MLflow 3."""

import mlflow
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

mlflow.set_experiment("autologged")
mlflow.sklearn.autolog()
x, y = load_iris(return_X_y=True)
with mlflow.start_run() as run:
    model = LogisticRegression(max_iter=200, random_state=3).fit(x, y)
stored = mlflow.get_run(run.info.run_id)
assert stored.data.metrics["training_accuracy_score"] > 0.9 and stored.data.params["C"] == "1.0"
assert stored.data.params["random_state"] == "3" and stored.inputs.dataset_inputs
(logged,) = mlflow.search_logged_models(output_format="list")
loaded = mlflow.sklearn.load_model(f"models:/{logged.model_id}")
assert (loaded.predict(x) == model.predict(x)).all()
with mlflow.start_run():
    info = mlflow.sklearn.log_model(model, name="model")
assert len(mlflow.pyfunc.load_model(info.model_uri).predict(x)) == len(x)
assert len(mlflow.search_runs()) == 2
print("done")
