"""The registry and the champion's model with MLflow's own client, 2.22 or 3.x."""

import pathlib

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

client = MlflowClient()
version = client.get_model_version_by_alias("digits", "champion")
assert (version.name, int(version.version), version.aliases) == ("digits", 1, ["champion"])
folder = pathlib.Path(mlflow.artifacts.download_artifacts("models:/digits@champion"))
assert (folder / "MLmodel").is_file()
try:
    client.set_registered_model_alias("digits", "champion", version.version)
except MlflowException as error:
    assert error.error_code == "PERMISSION_DENIED" and "Only a decision" in str(error)
else:
    raise AssertionError("a client moved the champion")
try:
    from sklearn.datasets import load_iris
except ImportError:  # the client without its extras
    pass
else:
    x, y = load_iris(return_X_y=True)
    assert (mlflow.sklearn.load_model("models:/digits@champion").predict(x) == y).mean() > 0.9

name = f"own-{mlflow.__version__.split('.')[0]}"
run = client.get_run(version.run_id)
source = f"{run.info.artifact_uri}/{name}"
client.log_text(run.info.run_id, "flavors: {}", f"{name}/MLmodel")
registered = mlflow.register_model(f"runs:/{run.info.run_id}/{name}", name)
assert (registered.name, int(registered.version)) == (name, 1)
other = client.create_model_version(name, source, run.info.run_id, tags={"a": "b"})
assert (int(other.version), other.tags, other.status) == (2, {"a": "b"}, "READY")
client.set_registered_model_alias(name, "best", "2")
assert client.get_registered_model(name).aliases == {"best": "2"}
assert [
    int(found_version.version)
    for found_version in client.search_model_versions(f"name = '{name}'")
] == [2, 1]
assert name in [found_model.name for found_model in client.search_registered_models()]
assert [int(found_version.version) for found_version in client.get_latest_versions(name)] == [2]
client.update_registered_model(name, "described")
client.set_registered_model_tag(name, "team", "vision")
client.set_model_version_tag(name, "1", "k", "v")
client.delete_model_version_tag(name, "1", "k")
model = client.get_registered_model(name)
assert (model.description, model.tags) == ("described", {"team": "vision"})
copied = client.copy_model_version(f"models:/{name}/1", f"{name}-copy")
assert (copied.run_id, int(copied.version)) == (run.info.run_id, 1)
client.delete_registered_model_alias(name, "best")
client.delete_model_version(name, "2")
client.rename_registered_model(name, f"{name}-renamed")
client.delete_registered_model(f"{name}-renamed")
assert name not in [found_model.name for found_model in client.search_registered_models()]
print("done")
