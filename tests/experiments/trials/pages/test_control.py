from __future__ import annotations

import pytest
from django.test import Client

from experiments.models import Experiment, Trial
from experiments.models.trial import TrialState
from experiments.trials.lifecycle.services import queue, trials
from tests import cast

pytestmark = pytest.mark.django_db


@pytest.fixture
def search(client: Client) -> Experiment:
    """Two arms of three rows; cleo, an editor, looks at it."""
    cast.project()
    experiment = cast.search("queued", trials_per_arm=3)
    client.force_login(cast.person("cleo"))
    return experiment


def _claim() -> Trial:
    claim = queue.claim(queue="cpu", worker_id=None)
    assert claim is not None
    return Trial.objects.get(pk=claim.trial_id)


def _post(client: Client, search: Experiment, rest: str, **fields: object) -> str:
    answer = client.post(cast.address(search, rest), fields, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def test_limits_are_changed_on_a_page_of_their_own(client: Client, search: Experiment) -> None:
    text = client.get(cast.address(search, "control/")).content.decode()
    assert 'name="parallel" value="2"' in text and "gpu_hours" not in text
    assert "<h1>Worker settings</h1>" in text
    said = _post(client, search, "control/", parallel=5, priority=3, per_arm=4)
    assert "Saved. Running trials continue." in said
    search.refresh_from_db()
    assert (search.parallel, search.priority, search.budget) == (5, 3, 8)


def test_what_is_wrong_is_said_at_its_field(client: Client, search: Experiment) -> None:
    fields = {"parallel": 0, "priority": "high", "per_arm": 3}
    answer = client.post(cast.address(search, "control/"), fields)
    text = answer.content.decode()
    assert answer.status_code == 400
    assert 'id="id_parallel_error"' in text and 'id="id_priority_error"' in text
    search.refresh_from_db()
    assert search.parallel == 2


def test_what_a_service_refuses_stands_above_the_fields(
    client: Client, search: Experiment
) -> None:
    for _ in range(2):
        _claim()
    Experiment.objects.filter(pk=search.pk).update(state="stopped")
    answer = client.post(
        cast.address(search, "control/"), {"parallel": 1, "priority": 0, "per_arm": 1}
    )
    assert answer.status_code == 400 and "has ended already" in answer.content.decode()


def test_a_cap_on_gpu_hours_is_asked_for_where_gpus_are(
    client: Client, search: Experiment
) -> None:
    Experiment.objects.update(gpus=2)
    fields = {"parallel": 2, "priority": 0, "per_arm": 3}
    _post(client, search, "control/", **fields, gpu_hours="2.5")
    search.refresh_from_db()
    assert search.gpu_hours_cap == 2.5
    text = client.get(cast.address(search)).content.decode()
    assert "0.0 of 2.5" in text and "2 GPUs a trial" in text
    _post(client, search, "control/", **fields, gpu_hours="")
    search.refresh_from_db()
    assert search.gpu_hours_cap is None


def test_the_page_says_what_trials_wait_for(client: Client, search: Experiment) -> None:
    Experiment.objects.update(gpus=2, queue="gpu")
    text = client.get(cast.address(search)).content.decode()
    assert "Waits for a worker with 2 GPUs that listens to the queue gpu; none does." in text


def test_a_trial_is_cancelled_from_its_page(client: Client, search: Experiment) -> None:
    trial = _claim()
    assert "Cancel the trial" in client.get(cast.address(search, "trials/A0/")).content.decode()
    assert "The trial ends within seconds" in _post(client, search, "trials/A0/cancel/")
    trial.refresh_from_db()
    assert trial.control == "cancel"
    trials.finish(trial_id=trial.pk, state=TrialState.COMPLETE, values=[0.5], attempt=1)
    assert "has ended already" in _post(client, search, "trials/A0/cancel/")
    text = client.get(cast.address(search, "trials/A0/")).content.decode()
    assert "Cancel the trial" not in text


def test_a_pause_that_hands_back_and_a_retry_of_all(client: Client, search: Experiment) -> None:
    trial = _claim()
    assert "handed back within seconds" in _post(client, search, "hand-back/")
    trial.refresh_from_db()
    assert trial.control == "back"
    trials.finish(
        trial_id=trial.pk,
        state=TrialState.FAILED,
        values=None,
        attempt=1,
        failure_kind="exception",
    )
    text = client.get(cast.address(search, "control/")).content.decode()
    assert "Retry 1 failed trial" in text
    assert "1 trial is queued again" in _post(client, search, "retry-failed/")
    assert "queued has no failed trials to retry" in _post(client, search, "retry-failed/")


@pytest.mark.parametrize(("who", "status"), [("ben", 403), ("dan", 404)])
def test_who_is_no_editor_controls_nothing(
    client: Client, search: Experiment, who: str, status: int
) -> None:
    trial = _claim()
    client.force_login(cast.person(who))
    assert client.get(cast.address(search, "control/")).status_code == status
    for rest in ("control/", "hand-back/", "retry-failed/", "trials/A0/cancel/"):
        assert client.post(cast.address(search, rest)).status_code == status, rest
    trial.refresh_from_db()
    assert trial.control == ""
    if who == "ben":
        page = client.get(cast.address(search)).content.decode()
        assert ">Worker settings</a>" not in page
        assert "Cancel the" not in client.get(cast.address(search, "trials/A0/")).content.decode()
