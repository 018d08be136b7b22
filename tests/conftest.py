"""Options, the Django environment of the tests, and the markers that select parts of them."""

from __future__ import annotations

import atexit
import gc
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import pytest_django
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

pytest_plugins = (
    "tests.services_under_test.redis_server",
    "tests.services_under_test.web_server",
    "tests.services_under_test.chromium",
    "tests.services_under_test.worker",
    "tests.services_under_test.receiver",
)

DATABASES = ("sqlite", "postgresql", "pgbouncer")
# What a shell that has read a .env may carry: tests would reach its server, or write to its store.
SETTINGS_OF_A_DEVELOPER = (
    *("REDIS_URL", "ALLOWED_HOSTS", "HOST", "PORT", "DEBUG", "LOG_LEVEL"),
    *("PUBLIC_URL", "BEHIND_TLS", "OBJECTIVES", "OBJECTIVES_FOLDER"),
    *("ARTIFACTS_DIR", "ARTIFACTS_STORE", "ARTIFACTS_ENDPOINT"),
)
# Carry the controller's choice into the processes of pytest-xdist.
CHOICE = "VERDICT_TEST_DATABASE"
POSTGRESQL_URL = "VERDICT_TEST_POSTGRESQL"
FOLDER = "VERDICT_TEST_FOLDER"
DATABASE_FIXTURES = frozenset(
    {"db", "transactional_db", "django_db_reset_sequences", "django_db_serialized_rollback"}
)
# Fixtures that start processes of their own.
PROCESS_FIXTURES = frozenset({"browser", "launch", "looked_at", "redis_server", "start_worker"})
TESTS = Path(__file__).resolve().parent
OURS = ("config", "experiments", "workers")
# A module that writes SQL of its own, by hand or through `statements`.
OWN_SQL = re.compile(r"\.cursor\(\)|connection\.vendor|RawSQL\(|\bimport statements\b")
SQL_MARK = "pytest.mark.sql"  # as a file writes it that holds such tests elsewhere

# A shell's background ignores Ctrl-C, and so would every process that tests start there.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Nothing that hypothesis says is about how fast the machine is.
_ANY_MACHINE = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
_AGAIN = {"derandomize": True, "print_blob": True}
hypothesis_settings.register_profile("quick", **_ANY_MACHINE, max_examples=15)
hypothesis_settings.register_profile("local", **_ANY_MACHINE, max_examples=50)
hypothesis_settings.register_profile("ci", **_ANY_MACHINE, **_AGAIN, max_examples=50)
hypothesis_settings.register_profile("long", **_ANY_MACHINE, max_examples=500)
hypothesis_settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    parser.addoption(
        "--database",
        choices=DATABASES,
        default=os.environ.get(CHOICE, "sqlite"),
        help="where the tests keep their tables (postgresql: a private server is started;"
        " pgbouncer: in transaction mode before such a server)",
    )
    # Here and not in pytest_configure: a conftest further down may import models, and those
    # named on the command line are loaded before anything is configured.
    config = pluginmanager.get_plugin("pytestconfig")
    assert isinstance(config, pytest.Config)
    known = parser.parse_known_args([str(arg) for arg in config.invocation_params.args])
    _set_up_django(known.database)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes() -> None:
    """Let each process of pytest-xdist set Django up as above, on its own data folder.

    Were the variable inherited, pytest-django would load the settings there before this file.
    """
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)


@pytest.fixture(scope="module")
def module_db(
    django_db_setup: None, django_db_blocker: pytest_django.DjangoDbBlocker
) -> Iterator[None]:
    """A transaction around a file's tests: rows of fixtures of this scope are written once, and
    what a test changes is rolled back to them.

    Hand out copies (`copy.deepcopy`) of what such a fixture made: tests change objects, too. The
    file's tests that do not ask for it come first.
    """
    from django.conf import settings
    from django.db import transaction

    settings.DECISION_HEADS.unlink(missing_ok=True)
    outermost = transaction.atomic()
    outermost._from_testcase = True  # type: ignore[attr-defined]  # as TestCase marks
    with django_db_blocker.unblock(), outermost:
        yield
        transaction.set_rollback(True)


@pytest.fixture(scope="module")
def noted_for_module() -> list[bytes]:
    """Heads of the logs that fixtures on `module_db` wrote; filled by the first test on them."""
    return []


@pytest.fixture(autouse=True)
def no_heads_noted(request: pytest.FixtureRequest, noted_for_module: list[bytes]) -> None:
    """Each test's logs begin anew: what was noted and verified of earlier ones is not theirs."""
    from django.conf import settings

    heads = settings.DECISION_HEADS
    if "module_db" not in request.fixturenames:
        heads.unlink(missing_ok=True)
        return
    from experiments.verdict.queries import chain_check

    chain_check._verified.clear()
    if not noted_for_module:
        noted_for_module.append(heads.read_bytes() if heads.exists() else b"")
    heads.unlink(missing_ok=True)
    if noted_for_module[0]:
        heads.write_bytes(noted_for_module[0])


def pytest_collection_finish() -> None:
    """Spare the collector what stays for the whole run: some million objects."""
    gc.collect()
    gc.freeze()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Of a run of ``sql`` alone, leave unread the files that hold none: reading all of them takes
    each process longer than most of its tests.
    """
    if not re.match(r"sql\b(?! or )", config.getoption("markexpr")):
        return None
    if collection_path.suffix != ".py" or _is_about_sql(collection_path):
        return None
    return SQL_MARK not in collection_path.read_text(encoding="utf-8") or None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Mark what touches a database, starts processes or drives a browser, before ``-m`` selects;
    begin with the files that take long, so that none is left running alone at the end.
    """
    for item in items:
        _mark(item)
    _leave_combinations([item for item in items if item.get_closest_marker("covering")])
    yield
    turns: dict[Path, int] = {}
    for item in items:
        turns[item.path] = min(_turn(item), turns.get(item.path, 2))
    places = {path: place for place, path in enumerate(turns)}
    items.sort(
        key=lambda item: (
            *(turns[item.path], places[item.path]),
            "module_db" in getattr(item, "fixturenames", ()),
        )
    )


def _turn(item: pytest.Item) -> int:
    """Processes first, then what is long: a short file is the last."""
    if item.get_closest_marker("processes"):
        return 0
    return 1 if item.get_closest_marker("thorough") else 2


def _leave_combinations(items: list[pytest.Item]) -> None:
    """Mark as exhaustive whatever brings no value of a parameter that none before it brought."""
    covered: set[tuple[str, str, str]] = set()
    for item in items:
        assert isinstance(item, pytest.Function)
        if not hasattr(item, "callspec"):
            continue
        test = item.nodeid.partition("[")[0]
        brought = {(test, name, repr(value)) for name, value in item.callspec.params.items()}
        if brought <= covered:
            item.add_marker(pytest.mark.exhaustive)
        covered |= brought


def _mark(item: pytest.Item) -> None:
    from django.test import TransactionTestCase

    owner = getattr(item, "cls", None)
    fixtures = set(getattr(item, "fixturenames", ()))
    if "browser" in fixtures:
        if not item.path.is_relative_to(TESTS / "e2e"):
            raise pytest.UsageError(
                f"{item.nodeid}: move it to tests/e2e, which test-browser runs"
            )
        item.add_marker(pytest.mark.browser)
    asked = item.get_closest_marker("django_db")
    commits = "transactional_db" in fixtures or (asked and asked.kwargs.get("transaction"))
    if "module_db" in fixtures and commits:
        raise pytest.UsageError(f"{item.nodeid}: what is written on module_db is not committed")
    if item.path.parent.name in ("api", "pages"):
        item.add_marker(pytest.mark.http)
    if PROCESS_FIXTURES & fixtures:
        item.add_marker(pytest.mark.processes)
    if (
        asked is not None
        or DATABASE_FIXTURES & fixtures
        or (isinstance(owner, type) and issubclass(owner, TransactionTestCase))
    ):
        item.add_marker(pytest.mark.database)
        if _is_about_sql(item.path):
            item.add_marker(pytest.mark.sql)


@cache
def _is_about_sql(path: Path) -> bool:
    """Whether a file of tests mirrors, or names, a module beside it that writes SQL of its own."""
    names = _with_own_sql(path.parent)
    text = f"{path.stem}\n{path.read_text(encoding='utf-8')}"
    return bool(names and re.search(rf"(?:\b|test_)(?:{'|'.join(names)})\b", text))


@cache
def _with_own_sql(folder: Path) -> tuple[str, ...]:
    """Modules in the folder that these tests mirror."""
    mirrored = folder.relative_to(TESTS)
    if not mirrored.parts or mirrored.parts[0] not in OURS:
        return ()
    return tuple(
        path.stem
        for path in (TESTS.parent / mirrored).glob("*.py")
        if OWN_SQL.search(path.read_text(encoding="utf-8"))
    )


@pytest.fixture(scope="session")
def django_db_setup(
    django_db_setup: None, django_db_blocker: pytest_django.DjangoDbBlocker
) -> Iterator[None]:
    from tests.services_under_test.emptying import allow_emptying
    from tests.services_under_test.postgresql import end_other_sessions
    from tests.services_under_test.templates import forbid_queries

    with pytest.MonkeyPatch.context() as patch:
        allow_emptying(patch)
        forbid_queries(patch)
        yield
    with django_db_blocker.unblock():
        end_other_sessions()


def pytest_report_header(config: pytest.Config) -> str:
    return f"database: {config.getoption('--database')}"


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """How to have the same order and the same random numbers again; --quiet leaves it out."""
    if terminalreporter.stats.keys() & {"failed", "error"}:
        seed = config.getoption("randomly_seed", None)
        terminalreporter.write_line(
            f"database {config.getoption('--database')}, --randomly-seed={seed}"
        )


def _set_up_django(database: str) -> None:
    """A data folder of this process's own; file databases, so that other processes can share."""
    data = Path(tempfile.mkdtemp(prefix="data-", dir=_folder_of_the_run()))
    for name in SETTINGS_OF_A_DEVELOPER:
        os.environ.pop(name, None)
    os.environ["DJANGO_SETTINGS_MODULE"] = "config.settings"
    os.environ["VERDICT_DATA"] = str(data)
    os.environ[CHOICE] = database
    if database != "sqlite":
        os.environ["DATABASE_URL"] = os.environ.get(POSTGRESQL_URL) or _start_postgresql(database)
    else:
        os.environ.pop("DATABASE_URL", None)

    import django
    from django.conf import settings

    tables = settings.DATABASES["default"]
    if database == "sqlite":
        tables.setdefault("TEST", {})["NAME"] = str(data / "test.sqlite3")
        # Durability is tested where it matters, with processes of their own.
        options = tables["OPTIONS"]
        options["init_command"] = options["init_command"].replace("FULL", "OFF")
    settings.STORAGES["staticfiles"] = {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
    }
    settings.PASSWORD_HASHERS = [
        "tests.services_under_test.password.QuickScrypt",
        *settings.PASSWORD_HASHERS[1:],
    ]
    django.setup()


def _folder_of_the_run() -> str:
    """Removed by the process that made it: pytest-xdist may end the others at once."""
    if FOLDER not in os.environ:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="verdict-test-")
        atexit.register(shutil.rmtree, os.environ[FOLDER], ignore_errors=True)
    return os.environ[FOLDER]


def _start_postgresql(database: str) -> str:
    from tests.services_under_test.postgresql import start, start_pgbouncer

    url = start()
    os.environ[POSTGRESQL_URL] = start_pgbouncer(url) if database == "pgbouncer" else url
    return os.environ[POSTGRESQL_URL]
