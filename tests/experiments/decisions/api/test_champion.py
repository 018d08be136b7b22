from __future__ import annotations

import copy
import datetime as dt
import json
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from experiments.decisions.services import decisions
from experiments.design import configuration
from experiments.errors import VerdictError
from experiments.models import (
    ApiToken,
    Artifact,
    Configuration,
    Decision,
    Membership,
    Replication,
    Trial,
)
from experiments.team.services import tokens
from experiments.trials.artifacts.queries import deployables
from experiments.verdict.evidence import evidence
from tests import cast

pytestmark = pytest.mark.django_db

ADDRESS = "/api/v1/projects/digits/champion"


@pytest.fixture(scope="module")
def made_adopted(module_db: None) -> Decision:
    cast.project()
    replication = cast.repeated(cast.finished_search(), done=10)
    gathered = evidence.evaluate(replication)
    return decisions.record(
        access=cast.access("ada", replication.experiment),
        experiment=replication.experiment,
        replication=replication,
        choice="adopt",
        reason="It earns its line.",
        state=gathered.state,
    )


@pytest.fixture
def adopted(made_adopted: Decision) -> Decision:
    return copy.deepcopy(made_adopted)


def _token(who: str = "ben", **more: Any) -> str:
    _, secret = tokens.create(user=cast.person(who), project=None, name="deploy", **more)
    return secret


def _get(address: str, secret: str = "") -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    response = Client().get(address, headers=headers)
    return response.status_code, json.loads(response.content)


def _is_an_error(answer: Any, status: int) -> bool:
    return (
        set(answer) == {"ok", "error", "errors", "status"}
        and answer["ok"] is False
        and answer["status"] == status
        and bool(answer["error"])
    )


def test_a_deployment_reads_the_configuration_and_why(adopted: Decision) -> None:
    status, answer = _get(ADDRESS, _token())
    assert status == 200
    assert adopted.candidate is not None
    assert answer["configuration"] == json.loads(adopted.candidate.document)
    assert answer["decision"]["reason"] == "It earns its line."
    assert answer["head"] == {"count": 1, "hash": adopted.hash}


def test_the_stated_score_is_the_mean_over_the_seeds(adopted: Decision) -> None:
    runs = json.loads(adopted.evidence)["replicates"]["candidate"]
    answer = _get(ADDRESS, _token())[1]
    assert answer["score"]["metric"] == "validation_accuracy" and answer["score"]["n"] == 10
    assert answer["score"]["mean"] == pytest.approx(sum(run["score"] for run in runs) / 10)
    assert answer["checkpoint"] is None  # nothing was kept


def _with_checkpoints(**more: Any) -> tuple[Replication, list[Trial]]:
    """Replicates 0 and 1 of the candidate kept two checkpoints each; the first was the better."""
    cast.project()
    held = cast.repeated(cast.finished_search(), done=10)
    first_two = list(
        Trial.objects.replicates_of(held)
        .filter(study__side="candidate", pair__lt=2)
        .order_by("pair")
    )
    for trial in first_two:
        for step, value in ((20, 0.98), (60, 0.97)):
            Artifact.objects.create(
                trial=trial,
                kind="checkpoint",
                name=f"{step}.pt",
                path=f"{trial.pk}/{step}.pt",
                size=step,
                sha256=f"{trial.pk:032d}{step:032d}",
                step=step,
                value=value,
            )
    gathered = evidence.evaluate(held)
    decisions.record(
        access=cast.access("ada", held.experiment),
        experiment=held.experiment,
        replication=held,
        choice="adopt",
        reason="It earns its line.",
        state=gathered.state,
        **more,
    )
    return held, first_two


def test_the_first_replicates_best_checkpoint_is_deployed_and_frozen() -> None:
    _, (first, _) = _with_checkpoints()
    told = _get(ADDRESS, _token())[1]["checkpoint"]
    address = told.pop("address")
    checksum = f"{first.pk:032d}{20:032d}"
    assert told == {"trial": first.pk, "step": 20, "sha256": checksum, "bytes": 20}
    assert f"/api/v1/projects/digits/champion/checkpoint?target=production&sha256={checksum}" in (
        address
    )
    assert json.loads(Decision.objects.get().evidence)["checkpoint"] == told
    # Another checkpoint that calls itself better later changes nothing; a swapped one is none.
    Artifact.objects.filter(trial=first, step=60).update(value=1.0)
    assert _get(ADDRESS, _token())[1]["checkpoint"]["step"] == 20
    Artifact.objects.filter(trial=first, step=20).update(sha256="0" * 64)
    assert _get(ADDRESS, _token())[1]["checkpoint"] is None


def test_a_decision_may_name_another_replicates_checkpoint_but_no_other_trials() -> None:
    stranger = 10**6
    with pytest.raises(VerdictError) as raised:
        _with_checkpoints(checkpoint=stranger)
    assert raised.value.problems[0].where == "checkpoint" and not Decision.objects.exists()


def test_the_checkpoint_that_a_decision_names_is_the_one() -> None:
    held, (_, second) = _with_checkpoints()
    found = deployables.best_checkpoint(held, second.pk)
    assert found is not None and found.trial == second.pk and found.step == 20


def test_a_checkpoint_whose_file_is_away_or_that_stands_no_more_is_said() -> None:
    _with_checkpoints()
    status, answer = _get(f"{ADDRESS}/checkpoint", _token())
    assert status == 404 and "does not lie on this server" in answer["error"]
    status, answer = _get(f"{ADDRESS}/checkpoint?sha256={'0' * 64}", _token())
    assert status == 409 and _is_an_error(answer, 409)
    assert _get(f"{ADDRESS}/checkpoint", _token("dan"))[0] == 404
    assert _get(f"{ADDRESS}/checkpoint")[0] == 401


@pytest.mark.parametrize("forged", ["an entry", "a configuration"])
def test_what_was_forged_in_the_database_is_not_handed_out(adopted: Decision, forged: str) -> None:
    """Whoever owns the database but not the key inserts an entry, or changes what one names."""
    if forged == "an entry":
        entry = Decision.objects.get(pk=adopted.pk)
        entry.pk, entry._state.adding = None, True
        entry.sequence, entry.previous_hash = adopted.sequence + 1, adopted.hash
        entry.hash, entry.reason = "0" * 64, "Trust me."
        entry.save(force_insert=True)
    else:
        Configuration.objects.update(document='{"objective": "evil"}')
    for address in (ADDRESS, f"{ADDRESS}/checkpoint", f"{ADDRESS}?wait=1"):
        status, answer = _get(address, _token())
        assert status == 409 and _is_an_error(answer, 409)
        assert "signature" in answer["error"] and "Trust me" not in answer["error"]


def test_before_the_first_adopt_there_is_none() -> None:
    cast.project()
    status, answer = _get(ADDRESS, _token())
    assert status == 404 and _is_an_error(answer, 404)
    assert "nothing was adopted" in answer["error"]


def test_without_a_token_the_door_is_shut(adopted: Decision) -> None:
    for secret in ("", "vd_guess"):
        status, answer = _get(ADDRESS, secret)
        assert status == 401 and _is_an_error(answer, 401)


def test_a_session_is_no_token(adopted: Decision) -> None:
    client = Client()
    client.force_login(cast.person("ada"))
    assert client.get(ADDRESS).status_code == 401


def test_a_stranger_learns_nothing_of_the_project(adopted: Decision) -> None:
    unknown = _get("/api/v1/projects/nothing/champion", _token("dan"))
    hidden = _get(ADDRESS, _token("dan"))
    assert unknown[0] == hidden[0] == 404
    assert hidden[1]["error"] == "There is no project digits."


def test_a_revoked_or_expired_token_opens_nothing(adopted: Decision) -> None:
    secret = _token()
    token = ApiToken.objects.get(digest=tokens.digest(secret))
    tokens.revoke(user=cast.person("ben"), token_id=token.pk)
    assert _get(ADDRESS, secret)[0] == 401
    later = _token(expires_at=timezone.now() + dt.timedelta(hours=1))
    assert _get(ADDRESS, later)[0] == 200
    ApiToken.objects.update(expires_at=timezone.now() - dt.timedelta(seconds=1))
    assert _get(ADDRESS, later)[0] == 401


def test_a_member_who_left_takes_the_tokens_power_along(adopted: Decision) -> None:
    secret = _token()
    Membership.objects.filter(user=cast.person("ben")).delete()
    assert _get(ADDRESS, secret)[0] == 404


def test_a_token_of_one_project_does_not_open_another(adopted: Decision) -> None:
    other = cast.project("fashion")
    _, secret = tokens.create(user=cast.person("ben"), project=other, name="deploy")
    assert _get(ADDRESS, secret)[0] == 404


def test_only_a_digest_of_a_token_is_stored(adopted: Decision) -> None:
    secret = _token()
    stored = ApiToken.objects.values().get()
    assert secret not in str(stored) and stored["prefix"] == secret[:9]


def test_the_log_and_a_decision_with_its_evidence_can_be_read(adopted: Decision) -> None:
    secret = _token()
    status, answer = _get("/api/v1/projects/digits/decisions", secret)
    assert status == 200 and [decision["sequence"] for decision in answer["decisions"]] == [1]
    status, answer = _get("/api/v1/projects/digits/decisions/1", secret)
    assert status == 200 and answer["evidence"]["verdict"]["outcome"] == "adopt"
    assert _get("/api/v1/projects/digits/decisions/2", secret)[0] == 404


def test_test_scores_that_nobody_opened_are_in_no_answer(adopted: Decision) -> None:
    secret = _token()
    for address in (ADDRESS, "/api/v1/projects/digits/decisions/1"):
        assert "test_accuracy" not in json.dumps(_get(address, secret)[1])


@pytest.mark.parametrize(
    ("address", "status"),
    [("/api/v1/nothing", 404), ("/api/", 404), ("/api/v1/projects/digits/decisions?page=0", 422)],
)
def test_every_error_has_the_one_shape(adopted: Decision, address: str, status: int) -> None:
    found, answer = _get(address, _token())
    assert found == status and _is_an_error(answer, status)


def test_a_deployment_that_has_the_champion_is_told_so_without_a_body(adopted: Decision) -> None:
    headers = {"Authorization": f"Bearer {_token()}"}
    first = Client().get(ADDRESS, headers=headers)
    assert first.headers["Verdict-Log-Head"] == f"1:{adopted.hash}"
    again = Client().get(
        f"{ADDRESS}?wait=30", headers={**headers, "If-None-Match": first.headers["ETag"]}
    )
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["Verdict-Log-Head"] == f"1:{adopted.hash}"
    cast.decided("other", "reject", "No gain.", gain=-0.01)
    rejected = Client().get(ADDRESS, headers={**headers, "If-None-Match": first.headers["ETag"]})
    assert rejected.status_code == 304 and rejected.headers["Verdict-Log-Head"][0] == "2"


def test_the_log_is_sent_again_only_when_it_grew(adopted: Decision) -> None:
    headers = {"Authorization": f"Bearer {_token()}"}
    address = "/api/v1/projects/digits/decisions"
    tag = Client().get(address, headers=headers).headers["ETag"]
    headers["If-None-Match"] = tag
    assert Client().get(address, headers=headers).status_code == 304
    cast.decided("other", "reject", "No gain.", gain=-0.01)
    assert Client().get(address, headers=headers).status_code == 200


def test_a_wait_beyond_a_minute_is_refused(adopted: Decision) -> None:
    status, answer = _get(f"{ADDRESS}?wait=61", _token())
    assert status == 422 and answer["errors"][0]["where"] == "wait"


def test_the_champion_says_which_code_and_data_it_was_trained_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = {"name": "digits", "version": "2", "checksum": "sha256:00"}
    canonical = configuration.canonical
    monkeypatch.setattr(configuration, "canonical", lambda **parts: canonical(**parts, data=data))
    cast.project()
    cast.decide(cast.repeated(cast.finished_search(trials_per_arm=3), looks=(10,)), "adopt")
    status, answer = _get(ADDRESS, _token())
    assert status == 200
    assert answer["configuration"]["data"] == data
    assert answer["configuration"]["commit"] == "4f1c2e9" * 5
    held = canonical(**{**answer["configuration"]})
    assert answer["digest"] == configuration.digest(held)
