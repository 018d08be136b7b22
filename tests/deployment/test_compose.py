"""What can be known of docker-compose.yml and the Dockerfile without a Docker engine."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("web", "worker", "db", "redis")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return found


@pytest.fixture(scope="module")
def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text()


def test_the_four_services_are_there_each_with_a_health_check(compose: dict[str, Any]) -> None:
    assert sorted(compose["services"]) == sorted([*SERVICES, "worker-gpu"])
    for name in SERVICES:
        check = compose["services"][name]["healthcheck"]
        assert check["test"][0] in ("CMD", "CMD-SHELL") and len(check["test"]) > 1, name
        assert {"interval", "timeout", "retries"} <= set(check), name
        assert compose["services"][name]["restart"] == "unless-stopped", name


def test_nothing_starts_before_what_it_needs_is_healthy(compose: dict[str, Any]) -> None:
    needs = {name: compose["services"][name]["depends_on"] for name in ("web", "worker")}
    assert set(needs["web"]) == {"db", "redis"}
    assert set(needs["worker"]) == {"db", "redis", "web"}  # the web migrates first
    for need in (*needs["web"].values(), *needs["worker"].values()):
        assert need == {"condition": "service_healthy"}


def test_secrets_come_from_the_environment_and_have_no_default(compose: dict[str, Any]) -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    for name in ("POSTGRES_PASSWORD", "REDIS_PASSWORD", "SECRET_KEY", "DECISION_KEY"):
        uses = re.findall(rf"\$\{{{name}([^}}]*)\}}", text)
        assert uses and all(use.startswith(":?") for use in uses), name
    for name, service in compose["services"].items():
        for key, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|KEY|TOKEN|AUTH", key):
                assert str(value).startswith("${"), f"{name}: {key}"


def test_every_variable_given_is_one_that_is_read(compose: dict[str, Any]) -> None:
    example = (ROOT / ".env.example").read_text()
    known = set(re.findall(r"^([A-Z_]+)=", example, flags=re.MULTILINE))
    known |= {"FORWARDED_ALLOW_IPS", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}  # by libraries
    assert set(compose["services"]["web"]["environment"]) <= known


def test_only_the_web_is_reachable_from_outside(compose: dict[str, Any]) -> None:
    with_ports = [name for name in SERVICES if "ports" in compose["services"][name]]
    assert with_ports == ["web"]


def test_a_worker_has_time_to_hand_its_trials_back(compose: dict[str, Any]) -> None:
    assert compose["services"]["worker"]["stop_grace_period"] == "30s"


def test_a_worker_for_gpus_starts_only_when_asked_for_and_is_given_them(
    compose: dict[str, Any],
) -> None:
    worker, on_gpus = compose["services"]["worker"], compose["services"]["worker-gpu"]
    assert on_gpus["profiles"] == ["gpu"]
    assert on_gpus["command"][-2:] == ["--queues", "gpu"]
    (devices,) = on_gpus["deploy"]["resources"]["reservations"]["devices"]
    assert devices["capabilities"] == ["gpu"] and devices["count"] == "all"
    own = {"profiles", "command", "deploy"}
    assert {key: on_gpus[key] for key in on_gpus if key not in own} == worker


def test_images_are_built_from_stages_that_exist_and_run_without_root(
    compose: dict[str, Any], dockerfile: str
) -> None:
    stages = re.split(r"^FROM ", dockerfile, flags=re.MULTILINE)[1:]
    by_name = {stage.split()[2]: stage for stage in stages}
    for name in ("web", "worker"):
        stage = by_name[compose["services"][name]["build"]["target"]]
        assert "USER verdict" in stage and "HEALTHCHECK" in stage and "CMD [" in stage


def test_images_install_groups_and_copy_folders_that_exist(dockerfile: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = re.findall(r'"\.\[([a-z0-9,]+)\]"', dockerfile)
    assert groups == ["web,s3", "workers,s3"]
    assert {extra for group in groups for extra in group.split(",")} <= set(
        project["optional-dependencies"]
    )
    for line in re.findall(r"^COPY (.+)$", dockerfile, flags=re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source


def test_no_secret_goes_into_an_image(dockerfile: str) -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", "var", ".env"} <= set(ignored)
    assert not re.search(r"(PASSWORD|SECRET|_KEY|TOKEN)\s*=", dockerfile)
