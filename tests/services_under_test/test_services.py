"""The tests' own services do what tests rely on."""

from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import ScryptPasswordHasher, make_password
from django.contrib.auth.models import Permission
from django.db import DatabaseError, connection
from django.template import engines
from django.utils import timezone

from experiments.models import Decision, Experiment, Project
from tests.services_under_test.redis_server import RedisServer
from tests.services_under_test.web_server import WebServer


def test_tests_never_touch_the_developers_data(db: None) -> None:
    assert settings.BASE_DIR not in settings.DATA_DIR.parents
    assert "test" in str(connection.settings_dict["NAME"])


def test_the_database_is_the_chosen_one(db: None, pytestconfig: pytest.Config) -> None:
    chosen = pytestconfig.getoption("--database")
    assert connection.vendor == ("sqlite" if chosen == "sqlite" else "postgresql")


def test_another_process_sees_what_a_test_commits(
    transactional_db: None, service_environment: dict[str, str]
) -> None:
    get_user_model().objects.create_user("alice")
    program = (
        "import django; django.setup()\n"
        "from django.contrib.auth import get_user_model\n"
        "print(*get_user_model().objects.values_list('username', flat=True))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=service_environment,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["alice"]


def test_redis_is_real_and_private(redis_server: RedisServer) -> None:
    assert redis_server.client.config_get("port") == {"port": "0"}
    assert redis_server.socket == settings.PRIVATE_REDIS_SOCKET


def test_the_production_hasher_verifies_a_quick_hash() -> None:
    assert ScryptPasswordHasher().verify("geheim", make_password("geheim"))
    assert not ScryptPasswordHasher().verify("other", make_password("geheim"))


def test_the_web_server_answers(web_server: WebServer) -> None:
    with pytest.raises(urllib.error.HTTPError) as missing:
        urllib.request.urlopen(f"{web_server.url}/no-such-page", timeout=30)
    assert missing.value.code == 404
    missing.value.close()


@pytest.mark.parametrize("turn", [1, 2])
def test_guarded_tables_are_empty_again_and_still_guarded(
    transactional_db: None, turn: int
) -> None:
    """The second turn finds what emptying after the first has left."""
    assert Decision.objects.count() == 0 and Permission.objects.exists()
    alice = get_user_model().objects.create_user("alice")
    decision = Decision.objects.create(
        project=Project.objects.create(slug="p", name="P", direction="maximize"),
        sequence=1,
        choice="dropped without seeds",
        reason="a row to guard",
        decided_by=alice,
        decided_at=timezone.now(),
        previous_hash="0",
        hash="1",
    )
    with pytest.raises(DatabaseError, match="insert-only"):
        Decision.objects.filter(pk=decision.pk).update(reason="another")
    with pytest.raises(DatabaseError, match="insert-only"):
        Decision.objects.filter(pk=decision.pk)._raw_delete("default")


@pytest.mark.django_db
def test_a_template_that_reads_a_table_of_ours_fails() -> None:
    template = engines["django"].from_string("{% if experiments.first %}there{% endif %}")
    with pytest.raises(AssertionError, match="queries"):
        template.render({"experiments": Experiment.objects.all()})
