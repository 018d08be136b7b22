"""What is sent to addresses that read a body before they ask who sends it.

With it, the answer is the one about the person, not the one about the body.
"""

from __future__ import annotations

from typing import Any

from tests import cast

E = "projects/<slug:slug>/experiments/<str:name>/"
AE = "api/v1/projects/<slug>/experiments/<name>"
FILE = cast.LABEL_SMOOTHING.format(name="another", goal="Is it allowed?", trials=2)
BASELINE = FILE.split("hyperparameters")[0] + (
    "hyperparameters:\n  epochs: {role: fixed, value: 2}\n"
)
KNOWN = {
    "objective": "workers.problems.digits:train",
    "parameters": {"epochs": 2},
    "scores": [0.95, 0.96, 0.97],
    "source": "the notebook",
    "reason": "It was there.",
}

FORMS: dict[str, dict[str, Any]] = {
    f"{E}rename/": {"name": "renamed"},
    f"{E}edit/": {"notes": "Kept."},
    f"{E}seeds/": {
        "candidate": "{run_id}",
        "looks": "3, 5",
        "score_rule": "tail_median",
    },
    f"{E}seeds/existing/": {"candidate": "{run_id}", "baseline": "{run_id}"},
    "projects/<slug:slug>/experiments/new/": {"text": FILE},
    "projects/<slug:slug>/reports/new/": {"title": "Another", "text": "Text."},
    "projects/<slug:slug>/reports/<int:report>/edit/": {
        "title": "Found",
        "text": "More.",
        "version": "1",
    },
    "projects/<slug:slug>/reports/<int:report>/restore/": {"version": "1"},
    "projects/<slug:slug>/baseline/enter/": {
        **KNOWN,
        "parameters": "epochs: 2",
        "scores": "0.95 0.96 0.97",
    },
    "projects/<slug:slug>/members/add/": {"username": "root", "role": "viewer"},
    "projects/<slug:slug>/members/invite/": {"role": "viewer"},
    "projects/<slug:slug>/members/role/": {"username": "ben", "role": "editor"},
    "projects/<slug:slug>/members/remove/": {"username": "ben"},
}
DOCUMENTS: dict[str, dict[str, Any]] = {
    "POST api/v1/projects": {"slug": "p", "name": "P", "official_metric": "accuracy"},
    "POST api/v1/projects/<slug>/baseline": {"text": BASELINE},
    "POST api/v1/projects/<slug>/baseline/known": KNOWN,
    "POST api/v1/projects/<slug>/baseline/record": {"reason": "It stands."},
    "POST api/v1/projects/<slug>/proposals/<int:proposal>/confirm": {"reason": "Yes."},
    "POST api/v1/projects/<slug>/shared-links": {"decision": 1},
    "POST api/v1/projects/<slug>/reports": {"title": "Another", "text": "Text."},
    "PUT api/v1/projects/<slug>/reports/<int:report>": {
        "title": "Found",
        "text": "More.",
        "version": 1,
    },
    "POST api/v1/projects/<slug>/reports/<int:report>/restore": {"version": 1},
    "POST api/v1/projects/<slug>/revert": {"to": 1, "current": 1, "reason": "Back."},
    "POST api/v1/projects/<slug>/experiments": {"text": FILE},
    "POST api/v1/projects/<slug>/check-experiment": {"text": FILE},
    "POST api/v1/projects/<slug>/findings/<int:finding>/dismiss": {"reason": "Known."},
    "POST api/v1/projects/<slug>/members": {"username": "root", "role": "viewer"},
    "PATCH api/v1/projects/<slug>": {"name": "Ten"},
    "PATCH api/v1/projects/<slug>/members/<username>": {"role": "editor"},
    "POST api/v1/projects/<slug>/webhooks": {
        "address": "https://hooks.example.org/x",
        "events": ["decided"],
    },
    "PATCH api/v1/projects/<slug>/webhooks/<int:webhook>": {"events": ["decided", "failed"]},
    f"POST {AE}/decisions": {
        "choice": "dropped without seeds",
        "reason": "No.",
    },
    f"PATCH {AE}": {"notes": "Kept."},
    f"DELETE {AE}": {"name": "label-smoothing"},
    f"POST {AE}/rename": {"name": "renamed"},
    f"POST {AE}/stop": {"reason": "Enough."},
    f"POST {AE}/trials": {"parameters": {}},
    f"POST {AE}/budget": {"per_arm": 4},
    f"POST {AE}/mute": {"muted": True},
    f"POST {AE}/variance": {"purpose": "training_seed"},
    f"POST {AE}/repetitions": {"candidate": "A0", "looks": [3, 5]},
    f"POST {AE}/repetitions/<int:replication>/extra": {"pairs": 2},
    "POST api/v1/runs": {"project": "digits", "experiment": "outside"},
    "POST api/v1/runs/<int:run_id>/points": {"batch": 0, "points": []},
    "POST api/v1/runs/<int:run_id>/finish": {"state": "complete", "value": 1.0},
    "POST api/v1/runs/<int:run_id>/params": {"params": {"layers": 3}},
}
