from __future__ import annotations

import copy
import re

import pytest
from django.test import Client

from experiments.models import Experiment, Replication, Trial
from experiments.models.trial import FailureKind, TrialState
from tests import cast

pytestmark = pytest.mark.django_db


def page(client: Client, experiment: Experiment, name: str = "cleo") -> str:
    client.force_login(cast.person(name))
    answer = client.get(cast.address(experiment, "seeds/"))
    assert answer.status_code == 200
    return answer.content.decode()


def declare(client: Client, experiment: Experiment, **told: object) -> str:
    best = experiment.best_trial
    assert best is not None
    other = (
        Trial.objects.filter(study__experiment=experiment, state=TrialState.COMPLETE)
        .exclude(pk=best.pk)
        .order_by("-value")
        .first()
    )
    assert other is not None
    fields = {
        "candidate": best.pk,
        "baseline": other.pk,
        "looks": "3, 6",
        "margin": "0.001",
        "score_rule": "tail_median",
    }
    answer = client.post(cast.address(experiment, "seeds/"), fields | told, follow=True)
    return answer.content.decode()


@pytest.fixture(scope="module")
def made_experiment(module_db: None) -> Experiment:
    cast.project()
    return cast.finished_search(trials_per_arm=6)


@pytest.fixture
def experiment(made_experiment: Experiment) -> Experiment:
    return copy.deepcopy(made_experiment)


def test_before_the_first_trial_the_page_says_when_it_opens(client: Client) -> None:
    cast.project()
    assert "the first trial that completes with a score" in page(client, cast.search())


def test_what_so_many_pairs_can_show_is_said_beforehand(
    client: Client, experiment: Experiment
) -> None:
    text = page(client, experiment)
    assert "detectable gain by number of seeds" in text and "30 pairs" in text
    assert "no champion yet" in text


def test_a_viewer_cannot_queue_seeds(client: Client, experiment: Experiment) -> None:
    assert "Run the first pairs" not in page(client, experiment, "ben")
    declare(client, experiment)
    assert not Replication.objects.exists()


def test_pairs_are_queued_as_declared(client: Client, experiment: Experiment) -> None:
    page(client, experiment)
    text = declare(client, experiment, margin="0.002")
    assert "3 pairs are queued" in text
    replication = Replication.objects.get()
    assert (replication.looks, replication.margin) == ("[3, 6]", 0.002)
    assert Trial.objects.filter(study__replication=replication).count() == 6


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"looks": "ten"}, "Enter numbers of pairs"),
        ({"looks": "2"}, "at least 3 pairs"),
        ({"looks": "10, 5"}, "increasing"),
        ({"margin": "-1"}, "margin"),
        ({"score_rule": "luck"}, "score_rule"),
    ],
)
def test_a_wrong_declaration_queues_nothing_and_says_why(
    client: Client, experiment: Experiment, wrong: dict[str, object], said: str
) -> None:
    page(client, experiment)
    assert said in declare(client, experiment, **wrong)
    assert not Replication.objects.exists()


def test_a_foreign_trial_is_no_candidate(client: Client, experiment: Experiment) -> None:
    foreign = cast.finished_search("other", trials_per_arm=2).best_trial
    assert foreign is not None
    page(client, experiment)
    best = experiment.best_trial
    assert best is not None
    fields = {"candidate": foreign.pk, "baseline": best.pk, "looks": "3", "score_rule": "last"}
    assert client.post(cast.address(experiment, "seeds/"), fields).status_code == 404


def test_the_champion_is_the_baseline(client: Client) -> None:
    cast.project()
    cast.decided("wider", "adopt", "It pays.")
    experiment = cast.finished_search("next", trials_per_arm=6)
    text = page(client, experiment)
    assert "The champion, from wider (decision 1)" in text
    declare(client, experiment)
    assert Replication.objects.get(experiment=experiment).against_champion


def test_the_champion_is_not_offered_against_itself(client: Client) -> None:
    cast.project()
    decided = cast.decided("wider", "adopt", "It pays.")
    trial = decided.replications.get().candidate_trial
    assert trial is not None
    text = page(client, decided)
    assert f'<option value="{trial.pk}"' not in text


def test_between_looks_there_is_no_test_no_interval_and_no_verdict(
    client: Client, experiment: Experiment
) -> None:
    cast.repeated(experiment, looks=(6, 12), done=5, gain=0.02, spread=0.0005)
    # Meanings of terms speak of verdicts on every page.
    text = re.sub(r'<span id="meaning-.*?</span>', "", page(client, experiment))
    assert "10 of 12 replicates are done" in text
    assert "Every seed" in text and "figure-seeds" in text
    for word in ("one-sided p", "interval", "adopt", "p =", "deviations above", "standard dev"):
        assert word not in text.replace("Adopt or reject", "").replace(
            '<th class="n">standard deviation</th>', ""
        ), word


def test_a_complete_look_shows_the_verdict(client: Client, experiment: Experiment) -> None:
    cast.repeated(experiment, looks=(6, 12), done=6, gain=0.02, spread=0.0005)
    assert "one-sided p" in page(client, experiment)


def test_continue_exists_only_after_an_undecided_look(
    client: Client, experiment: Experiment
) -> None:
    replication = cast.repeated(experiment, looks=(6, 12), done=6, gain=0.02, spread=0.0005)
    page(client, experiment)
    address = cast.address(experiment, f"seeds/{replication.pk}/continue/")
    assert "Only an undecided look" in client.post(address, follow=True).content.decode()
    replication.refresh_from_db()
    assert replication.pairs_queued == 6


def test_an_undecided_look_leads_to_the_next_declared_one(
    client: Client, experiment: Experiment
) -> None:
    replication = cast.repeated(experiment, looks=(6, 12), done=6, gain=0.0, spread=0.004)
    page(client, experiment)
    address = cast.address(experiment, f"seeds/{replication.pk}/continue/")
    assert "Queued: 12 pairs in all." in client.post(address, follow=True).content.decode()
    replication.refresh_from_db()
    assert replication.pairs_queued == 12
    assert "one-sided p" not in page(client, experiment)


def test_accidents_are_repeated_with_the_same_seeds(
    client: Client, experiment: Experiment
) -> None:
    replication = cast.repeated(experiment, looks=(3,), done=3)
    lost = Trial.objects.filter(study__replication=replication).order_by("pk").first()
    assert lost is not None
    Trial.objects.filter(pk=lost.pk).update(state=TrialState.FAILED, failure_kind=FailureKind.LOST)
    text = page(client, experiment)
    assert "Repeat with the same seeds" in text
    client.post(cast.address(experiment, f"seeds/{replication.pk}/repeat/"))
    again = Trial.objects.get(retry_of=lost)
    assert (again.train_seed, again.split_seed) == (lost.train_seed, lost.split_seed)


def test_each_source_of_variance_has_its_button(client: Client, experiment: Experiment) -> None:
    cast.repeated(experiment, looks=(3,), done=3)
    text = page(client, experiment)
    for words in ("Run 5 seeds", "Run 5 splits", "Repeat the search 3 times"):
        assert words in text
    client.post(cast.address(experiment, "seeds/measure/training_seed/"))
    assert Replication.objects.filter(purpose="training_seed").count() == 1
    assert "being measured: 0 of 5 runs" in page(client, experiment)
    assert "Run 5 seeds" not in page(client, experiment, "ben")


def test_an_unknown_source_measures_nothing(client: Client, experiment: Experiment) -> None:
    cast.repeated(experiment, looks=(3,), done=3)
    page(client, experiment)
    client.post(cast.address(experiment, "seeds/measure/luck/"))
    assert Replication.objects.count() == 1


def test_the_power_of_a_schedule_is_told_before_it_is_queued(
    client: Client, experiment: Experiment
) -> None:
    cast.repeated(cast.finished_search("earlier", trials_per_arm=4), looks=(10,), done=10)
    client.force_login(cast.person("cleo"))
    address = cast.address(experiment, "seeds/power/")
    alone = client.get(address, {"looks": "5, 10", "margin": "0.001"}).content.decode()
    assert all(f'<tr><td class="n">{pairs}</td>' in alone for pairs in (5, 10))
    assert "level of 0.0294" in alone and "earlier pairs" in alone and "over all 2 looks" in alone
    shared = client.get(address, {"looks": "5, 10", "candidates": "2"}).content.decode()
    assert "level of 0.0147 (shared by 2 candidates)" in shared
    assert not Replication.objects.filter(experiment=experiment).exists()


@pytest.mark.parametrize(
    ("looks", "said"),
    [
        ("", "required"),
        ("2, 5", "at least 3 pairs"),
        ("x", "Enter numbers"),
        ("5000", "at most 1000"),
    ],
)
def test_a_schedule_that_cannot_be_says_why_instead_of_its_power(
    client: Client, experiment: Experiment, looks: str, said: str
) -> None:
    client.force_login(cast.person("cleo"))
    answer = client.get(cast.address(experiment, "seeds/power/"), {"looks": looks})
    assert answer.status_code == 200 and said in answer.content.decode()


def test_several_candidates_and_guards_are_declared_together(
    client: Client, experiment: Experiment
) -> None:
    page(client, experiment)
    ranked = Trial.objects.filter(study__experiment=experiment).order_by("-value")
    text = declare(
        client,
        experiment,
        baseline=ranked[4].pk,
        further=[ranked[1].pk, ranked[2].pk, ranked[0].pk],
        guard_metric=["seconds", "validation_loss", ""],
        guard_bound=["at most", "at most", "at most"],
        guard_limit=["20", "0.5", ""],
    )
    assert "3 pairs are queued, 3 candidates" in text
    assert "Candidate 1 of 3" in text and ": validation_loss</th>" in text
    held = Replication.objects.order_by("pk")
    assert [replication.candidates for replication in held] == [3, 3, 3]
    assert held[1].declared_guards == (
        {"metric": "seconds", "bound": "at most", "limit": 20.0},
        {"metric": "validation_loss", "bound": "at most", "limit": 0.5},
    )


@pytest.mark.parametrize(
    ("metric", "limit", "said"),
    [
        ("seconds", "soon", "enter a metric and a finite number"),
        ("seconds", "nan", "enter a metric and a finite number"),
        ("", "3", "enter a metric and a finite number"),
        ("test_accuracy", "0.9", "sealed until the verdict"),
    ],
)
def test_a_guard_that_cannot_be_queues_nothing_and_stays_in_the_form(
    client: Client, experiment: Experiment, metric: str, limit: str, said: str
) -> None:
    page(client, experiment)
    text = declare(
        client, experiment, guard_metric=metric, guard_bound="at most", guard_limit=limit
    )
    assert said in text and f'value="{limit}"' in text
    assert not Replication.objects.exists()


def test_each_candidate_has_its_own_seeds_page(client: Client, experiment: Experiment) -> None:
    first, second = cast.candidates(experiment, looks=(3, 6), done=3, gain=0.0, spread=0.004)
    client.force_login(cast.person("cleo"))
    address = cast.address(experiment, "seeds/?candidate=2")
    text = client.get(address).content.decode()
    assert 'aria-current="page">Candidate 2 of 2' in text
    client.post(cast.address(experiment, f"seeds/{second.pk}/continue/"))
    second.refresh_from_db()
    first.refresh_from_db()
    assert (first.pairs_queued, second.pairs_queued) == (3, 6)
    text = client.get(address).content.decode()
    assert "Between two looks only the seeds are shown" in text
    for word in ("one-sided p", "not shown", "better by", "mean; bar"):
        assert word not in text


def test_links_and_forms_of_a_seeds_page_keep_its_candidate(
    client: Client, experiment: Experiment
) -> None:
    first, second = cast.candidates(experiment, looks=(3, 6), done=3, gain=0.0, spread=0.004)
    client.force_login(cast.person("cleo"))
    address = cast.address(experiment, "seeds/?candidate=2")
    text = client.get(address).content.decode()
    for path in ("decide/", "seeds/measure/training_seed/"):
        assert f'{cast.address(experiment, path)}?candidate=2"' in text
    Trial.objects.filter(study__replication=second, pair=0).update(
        state=TrialState.FAILED, failure_kind=FailureKind.LOST, value=None, values=None
    )
    repeat = cast.address(experiment, f"seeds/{second.pk}/repeat/?candidate=2")
    assert f'action="{repeat}"' in client.get(address).content.decode()
    client.post(cast.address(experiment, "seeds/measure/training_seed/?candidate=2"))
    measured = Replication.objects.get(purpose="training_seed")
    assert measured.candidate == second.candidate != first.candidate


def test_extra_seeds_are_labelled_wherever_they_are_shown(
    client: Client, experiment: Experiment
) -> None:
    held = cast.repeated(experiment, looks=(3,), done=3, gain=0.0, spread=0.004)
    client.force_login(cast.person("cleo"))
    assert (
        "More seeds after the last look"
        in client.get(cast.address(experiment, "decide/")).content.decode()
    )
    client.post(cast.address(experiment, f"seeds/{held.pk}/extra/"), {"pairs": "2"})
    held.refresh_from_db()
    assert held.looks_after_the_last == (5,)
    cast.finish_pairs(held, 5, gain=0.0, spread=0.004)
    text = page(client, experiment)
    assert text.count(">extra</span>") == 2 and "After peeking" in text
    assert "5 pairs, 2 of them extra" in text
    text = client.get(cast.address(experiment, "decide/")).content.decode()
    assert "extra seeds, after peeking" in text and "2 extra pairs beyond the last look" in text


@pytest.mark.parametrize("pairs", ["0", "-3", "many", "99999"])
def test_a_wrong_number_of_extra_seeds_queues_nothing(
    client: Client, experiment: Experiment, pairs: str
) -> None:
    held = cast.repeated(experiment, looks=(3,), done=3, gain=0.0, spread=0.004)
    client.force_login(cast.person("cleo"))
    answer = client.post(
        cast.address(experiment, f"seeds/{held.pk}/extra/"), {"pairs": pairs}, follow=True
    )
    assert "The number of extra pairs is wrong" in answer.content.decode()
    held.refresh_from_db()
    assert held.pairs_queued == 3


def test_extra_seeds_do_not_follow_a_verdict_that_decides(
    client: Client, experiment: Experiment
) -> None:
    held = cast.repeated(experiment, looks=(6,), done=6, gain=0.02, spread=0.0005)
    client.force_login(cast.person("cleo"))
    answer = client.post(
        cast.address(experiment, f"seeds/{held.pk}/extra/"), {"pairs": "5"}, follow=True
    )
    assert "follow an undecided last look only" in answer.content.decode()


def test_a_second_click_declares_nothing_twice(client: Client, experiment: Experiment) -> None:
    page(client, experiment)
    declare(client, experiment)
    assert "A replication of this experiment is open" in declare(client, experiment)
    assert Replication.objects.count() == 1
    assert Trial.objects.filter(study__replication__isnull=False).count() == 6


def test_fewer_than_three_pairs_cannot_be_declared(client: Client, experiment: Experiment) -> None:
    page(client, experiment)
    assert "at least 3 pairs" in declare(client, experiment, looks="2")
    assert not Replication.objects.exists()


def test_runs_that_were_ticked_in_a_table_are_the_sides_of_the_form(
    client: Client, experiment: Experiment
) -> None:
    client.force_login(cast.person("cleo"))
    ranked = list(Trial.objects.filter(study__experiment=experiment).order_by("-value"))
    seeds = cast.address(experiment, "seeds/")

    def form(*ticked: Trial) -> tuple[list[str], list[str]]:
        ids = ",".join(str(trial.pk) for trial in ticked)
        html = client.get(f"{seeds}?trials={ids}").content.decode()
        chosen = re.findall(r'<option value="(\d+)" selected>trial', html)
        return chosen, re.findall(r'name="further" value="(\d+)" checked', html)

    worse = ranked[-1]
    assert form(worse, ranked[2]) == ([str(ranked[2].pk), str(worse.pk)], [])
    chosen, further = form(worse, ranked[2], ranked[4])
    assert chosen[0] == str(ranked[2].pk) and chosen[1] not in further
    assert further == [str(ranked[4].pk), str(worse.pk)]
    declare(client, experiment)
    html = client.get(f"{seeds}?trials={worse.pk}").content.decode()
    assert "a replication of this experiment is open. Decide it first." in html


def test_an_archived_experiment_is_not_repeated(client: Client, experiment: Experiment) -> None:
    client.force_login(cast.person("cleo"))
    Experiment.objects.filter(pk=experiment.pk).update(archived_at=cast.START)
    assert "is archived: list it again first" in declare(client, experiment)
    assert not Replication.objects.exists()
