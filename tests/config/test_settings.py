"""Settings are read in fresh processes here, as every command reads them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.processes

ROOT = Path(__file__).resolve().parents[2]
READ = """
import json, sys
from django.core.exceptions import ImproperlyConfigured
try:
    from config import env, settings
except ImproperlyConfigured as error:
    sys.exit(str(error))
names = sys.argv[1:]
values = {name: getattr(settings, name) for name in names}
print(json.dumps({"values": values, "read": sorted(env.names_read())}, default=str))
"""


def read_settings(data: Path, *names: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", READ, *names],
        env={"PATH": os.environ["PATH"], "VERDICT_DATA": str(data), **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def value_of(data: Path, name: str, **variables: str) -> Any:
    done = read_settings(data, name, **variables)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["values"][name]


def test_the_example_file_lists_exactly_the_variables_that_are_read(tmp_path: Path) -> None:
    done = read_settings(tmp_path)
    listed = re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), flags=re.MULTILINE)
    assert sorted(listed) == json.loads(done.stdout)["read"]


def test_the_example_file_taken_as_it_is_changes_nothing(tmp_path: Path) -> None:
    example = (ROOT / ".env.example").read_text()
    lines = dict(re.findall(r"^([A-Z_]+)=(.*)$", example, flags=re.MULTILINE))
    lines["VERDICT_DATA"] = str(tmp_path)
    names = ("DATABASES", "REDIS_URL", "ALLOWED_HOSTS", "SECRET_KEY", "WORKER_SLOTS", "DEBUG")
    names += ("HOST", "PORT", "OBJECTIVES", "HEARTBEAT_SECONDS", "STALE_AFTER_SECONDS")
    with_example = read_settings(tmp_path, *names, **lines)
    assert with_example.returncode == 0, with_example.stderr
    assert with_example.stdout == read_settings(tmp_path, *names).stdout


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("DATABASE_URL", "mysql://localhost/verdict", "postgresql://"),
        ("DATABASE_URL", "verdict.sqlite3", "sqlite://"),
        ("DATABASE_URL", "sqlite://:memory:", "expected a file"),
        ("DATABASE_URL", "postgresql://localhost:port/verdict", ""),
        ("REDIS_URL", "amqp://localhost", "redis+socket://"),
        ("PORT", "eighty", "from 1 to 65535"),
        ("PORT", "70000", "from 1 to 65535"),
        ("ALLOWED_HOSTS", "https://verdict.example.org", "without scheme"),
        ("PUBLIC_URL", "verdict.example.org", "http://"),
        ("WEBHOOK_NETWORKS", "10.0.0.1/8", "10.0.0.0/8"),
        ("CSRF_TRUSTED_ORIGINS", "verdict.example.org", "https://verdict.example.org"),
        ("BEHIND_TLS", "perhaps", "1 or 0"),
        ("DEBUG", "2", "1 or 0"),
        ("SECRET_KEY", "short", "at least 50"),
        ("DECISION_KEY", "short", "at least 32"),
        ("LOG_LEVEL", "LOUD", "DEBUG, INFO"),
        ("OBJECTIVES", "workers/problems", "workers.problems"),
        ("WORKER_SLOTS", "0", "from 1 to 1024"),
        ("HEARTBEAT_SECONDS", "soon", "from 1 to 3600"),
        ("STALE_AFTER_SECONDS", "9", "at least twice HEARTBEAT_SECONDS"),
    ],
)
def test_a_wrong_value_stops_with_one_line_naming_its_variable(
    tmp_path: Path, name: str, value: str, right: str
) -> None:
    done = read_settings(tmp_path, **{name: value})
    assert done.returncode == 1
    assert done.stderr.startswith(f"{name}: ")
    assert right in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_command_reports_a_wrong_value_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        env={"PATH": os.environ["PATH"], "VERDICT_DATA": str(tmp_path), "PORT": "x"},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr == "verdict: PORT: found 'x'; expected a whole number from 1 to 65535\n"


def test_sqlite_in_the_data_folder_is_the_default(tmp_path: Path) -> None:
    data = tmp_path / "with space & 100%"
    database = value_of(data, "DATABASES")["default"]
    assert database["ENGINE"] == "django.db.backends.sqlite3"
    assert database["NAME"] == str(data / "verdict.sqlite3")
    assert database["OPTIONS"]["transaction_mode"] == "IMMEDIATE"


def test_a_sqlite_connection_is_durable_and_waits_its_turn(tmp_path: Path) -> None:
    program = """
import django; django.setup()
from django.db import connection
with connection.cursor() as cursor:
    for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout"):
        print(*cursor.execute(f"PRAGMA {name}").fetchone())
"""
    variables = {"VERDICT_DATA": str(tmp_path), "DJANGO_SETTINGS_MODULE": "config.settings"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": os.environ["PATH"], **variables},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["wal", "2", "1", "20000"]  # 2: FULL


def test_postgresql_is_taken_from_its_url(tmp_path: Path) -> None:
    url = "postgresql://me:geheim@db.example.org:5433/verdict?sslmode=require"
    database = value_of(tmp_path, "DATABASES", DATABASE_URL=url)["default"]
    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert (database["HOST"], database["PORT"]) == ("db.example.org", 5433)
    options = database["OPTIONS"]
    assert (options["sslmode"], options["connect_timeout"]) == ("require", 10)
    assert (options["keepalives"], options["tcp_user_timeout"]) == (1, 30_000)


def test_the_host_listened_on_is_allowed(tmp_path: Path) -> None:
    assert "tuning.lan" in value_of(tmp_path, "ALLOWED_HOSTS", HOST="tuning.lan")
    assert "0.0.0.0" not in value_of(tmp_path, "ALLOWED_HOSTS", HOST="0.0.0.0")


def test_behind_tls_cookies_are_secure_and_browsers_stay_on_https(tmp_path: Path) -> None:
    names = ("SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_SSL_REDIRECT")
    for value, expected in (("1", True), ("0", False)):
        done = read_settings(tmp_path, *names, "SECURE_HSTS_SECONDS", BEHIND_TLS=value)
        values = json.loads(done.stdout)["values"]
        assert all(values[name] is expected for name in names)
        assert (values["SECURE_HSTS_SECONDS"] > 0) is expected


def test_keys_are_kept_outside_the_database_and_stay_the_same(tmp_path: Path) -> None:
    first = value_of(tmp_path, "DECISION_KEY")
    assert first == value_of(tmp_path, "DECISION_KEY")
    assert first == (tmp_path / "decision_key").read_text()
    assert first != value_of(tmp_path, "SECRET_KEY")


def test_a_redis_url_with_tls_and_password_is_taken_as_it_is(tmp_path: Path) -> None:
    url = "rediss://:p%40ss@redis.example.org:6380/0?ssl_cert_reqs=required"
    assert value_of(tmp_path, "CELERY_BROKER_URL", REDIS_URL=url) == url


def test_a_redis_url_of_another_kind_is_refused_without_its_password(tmp_path: Path) -> None:
    done = read_settings(tmp_path, REDIS_URL="amqp://me:geheim@mq.example.org")
    assert done.returncode != 0
    assert "REDIS_URL" in done.stderr and "rediss://" in done.stderr
    assert "geheim" not in done.stderr


def test_logs_are_lines_or_json_and_nothing_else(tmp_path: Path) -> None:
    done = read_settings(tmp_path, LOG_FORMAT="xml")
    assert done.returncode != 0
    assert "LOG_FORMAT: found xml; expected line or json" in done.stderr
