"""Every page of the application."""

from __future__ import annotations

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import URLPattern, URLResolver, path

from experiments.views import (
    added_trials,
    champions,
    compare,
    decide,
    decisions,
    declaring,
    experiments,
    exports,
    findings,
    followups,
    live,
    measuring,
    new_experiment,
    projects,
    seeds,
    tokens,
    trials,
)

P = "projects/<slug:slug>/"
E = f"{P}experiments/<str:name>/"

urlpatterns: list[URLPattern | URLResolver] = [
    path(
        "login/",
        LoginView.as_view(template_name="account/login.html", redirect_authenticated_user=True),
        name="login",
    ),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("account/tokens/", tokens.tokens_page, name="tokens"),
    path("account/tokens/<int:token>/revoke/", tokens.revoke_token, name="token_revoke"),
    path("", projects.projects_page, name="projects"),
    path("under-way/", projects.projects_live, name="projects_live"),
    path(P, projects.project_page, name="project"),
    path(f"{P}members/", projects.members_page, name="members"),
    path(f"{P}compare/", compare.compare_page, name="compare"),
    path(f"{P}champions/", champions.champions_page, name="champions"),
    path(f"{P}champions/revert/", champions.revert_champion, name="champion_revert"),
    path(f"{P}decisions/", decisions.decisions_page, name="decisions"),
    path(f"{P}decisions.csv", decisions.decisions_csv, name="decisions_csv"),
    path(f"{P}decisions/<int:sequence>/", decisions.decision_page, name="decision"),
    path(f"{P}decisions/<int:sequence>.md", decisions.decision_file, name="decision_file"),
    path(f"{P}findings/<int:finding>/dismiss/", findings.dismiss_finding, name="finding_dismiss"),
    path(f"{P}experiments/new/", new_experiment.new_experiment_page, name="new_experiment"),
    path(f"{P}experiments/new/check/", new_experiment.check_experiment, name="check_experiment"),
    path(E, experiments.experiment_page, name="experiment"),
    path(f"{E}live/", live.experiment_live, name="experiment_live"),
    path(f"{E}charts/", experiments.charts_fragment, name="experiment_charts"),
    path(f"{E}series.<str:kind>", exports.series_file, name="experiment_series"),
    path(f"{E}stop/", experiments.stop, name="experiment_stop"),
    path(f"{E}pause/", experiments.pause, name="experiment_pause"),
    path(f"{E}resume/", experiments.resume, name="experiment_resume"),
    path(f"{E}follow-ups/", followups.followups_page, name="followups"),
    path(f"{E}add/", added_trials.add_page, name="add_trials"),
    path(f"{E}add/configuration/", added_trials.try_configuration, name="try_configuration"),
    path(f"{E}add/trials/", added_trials.extend_budget, name="extend_budget"),
    path(f"{E}add/grid/", added_trials.refine, name="refine"),
    path(f"{E}trials/<str:trial>/retry/", added_trials.retry, name="trial_retry"),
    path(f"{E}trials/<str:trial>/", trials.trial_page, name="trial"),
    path(f"{E}trials/<str:trial>/live/", trials.trial_live, name="trial_live"),
    path(f"{E}seeds/", seeds.seeds_page, name="seeds"),
    path(f"{E}seeds/live/", seeds.seeds_live, name="seeds_live"),
    path(f"{E}seeds/power/", declaring.power, name="seeds_power"),
    path(f"{E}seeds/<int:repetition>/extra/", seeds.extra_seeds, name="seeds_extra"),
    path(f"{E}seeds/<int:repetition>/continue/", seeds.continue_seeds, name="seeds_continue"),
    path(f"{E}seeds/<int:repetition>/repeat/", seeds.repeat_accidents, name="seeds_repeat"),
    path(f"{E}seeds/<int:repetition>/open-test/", decide.open_test, name="open_test"),
    path(f"{E}seeds/measure/<str:purpose>/", measuring.measure, name="seeds_measure"),
    path(f"{E}decide/", decide.decide_page, name="decide"),
    path(f"{E}decide.md", decide.decide_file, name="decide_file"),
    path(f"{E}decide/record/", decide.record_decision, name="decide_record"),
]
