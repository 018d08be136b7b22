from __future__ import annotations

import ssl
import subprocess
import sys
import uuid

import pytest
from celery import Celery
from django.conf import settings
from kombu import Queue
from kombu.exceptions import ContentDisallowed

from experiments import dispatch
from tests.services_under_test.redis_server import RedisServer
from tests.waiting import PATIENCE
from workers.celery import app

pytestmark = pytest.mark.processes


def test_messages_are_json_and_survive_a_lost_worker() -> None:
    assert app.conf.task_serializer == "json"
    assert app.conf.accept_content == ["json"]
    assert app.conf.task_acks_late is True
    assert app.conf.task_reject_on_worker_lost is True
    assert app.conf.worker_prefetch_multiplier == 1
    assert app.conf.result_backend is None
    assert app.conf.task_default_queue == "cpu"


def test_a_message_sent_by_name_waits_in_its_queue(redis_server: RedisServer) -> None:
    queue = f"test-{uuid.uuid4().hex}"
    app.send_task("workers.no_such_task", args=[1, "two"], queue=queue)
    with app.connection_for_read() as connection:
        message = connection.SimpleQueue(queue).get(timeout=PATIENCE)
        assert message.headers["task"] == "workers.no_such_task"
        assert message.decode()[0] == [1, "two"]
        message.ack()


def test_a_pickle_on_the_queue_is_refused_unread(redis_server: RedisServer) -> None:
    queue = f"test-{uuid.uuid4().hex}"
    with app.connection_for_write() as connection:
        connection.SimpleQueue(queue, serializer="pickle").put(_Bomb())
    with app.connection_for_read() as connection:
        bound = Queue(queue, channel=connection.default_channel)
        message = bound.get(no_ack=True, accept=app.conf.accept_content)
        assert message is not None and message.content_type == "application/x-python-serialize"
        with pytest.raises(ContentDisallowed):
            message.decode()
    assert not _Bomb.went_off


class _Bomb:
    went_off = False

    def __reduce__(self) -> tuple[object, tuple[()]]:
        return _go_off, ()


def _go_off() -> None:
    _Bomb.went_off = True


def test_a_redis_url_with_tls_and_password_is_what_celery_connects_with() -> None:
    url = "rediss://verdict:p%40ss@redis.example.org:6380/2?ssl_cert_reqs=required"
    connection = Celery(broker=url).connection_for_write()
    assert (connection.userid, connection.password) == ("verdict", "p@ss")
    assert (connection.hostname, connection.port) == ("redis.example.org", 6380)
    assert connection.ssl == {"ssl_cert_reqs": ssl.CERT_REQUIRED}


def test_the_web_sends_with_the_same_application() -> None:
    assert dispatch.task_app() is app


def test_a_worker_knows_every_task_that_is_sent_by_name() -> None:
    """In a fresh process, because only a worker imports the tasks."""
    sent = {
        value
        for name, value in vars(dispatch).items()
        if name[0].isupper() and isinstance(value, str)
    }
    program = (
        "import django; from workers.celery import app\n"
        "app.loader.import_default_modules()\n"
        "print(*app.tasks)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert sent <= set(done.stdout.split())
