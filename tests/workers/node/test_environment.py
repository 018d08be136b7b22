from __future__ import annotations

import json

import numpy as np

from experiments.design import code_version
from workers.node import environment


def test_the_record_is_json_and_names_packages_and_machine() -> None:
    record = environment.describe(device="cuda:0")
    assert json.loads(json.dumps(record)) == record
    assert record["packages"]["numpy"] == np.__version__
    assert record["device"] == "cuda:0"
    assert record["verdict"] == (code_version.commit() or None)
    assert 1 <= record["usable_cpus"] <= record["cpus"]
    assert record["memory_mb"] > 0
