from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles.storage import staticfiles_storage
from django.test import override_settings

from config.static_files import Message, Receive, Scope, Send, StaticFiles, collect_if_changed

STYLE = "body { color: #123456 } " * 200


@pytest.fixture
def sources(tmp_path: Path) -> Iterator[Path]:
    """A folder of static files, and settings that collect them."""
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "page.css").write_text(STYLE)
    (folder / "part.js").write_text("export const answer = 42;\n")
    (folder / "page.js").write_text('import { answer } from "./part.js";\n')
    with override_settings(
        STATICFILES_DIRS=[folder],
        STATICFILES_FINDERS=["django.contrib.staticfiles.finders.FileSystemFinder"],
        STATIC_ROOT=tmp_path / "collected",
        STORAGES={"staticfiles": {"BACKEND": "config.static_files.HashedFiles"}},
    ):
        yield folder


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands for Django."""
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": b"page"})


def get(
    application: StaticFiles, path: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    pairs = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    scope: dict[str, Any] = {"type": "http", "path": path, "method": method, "headers": pairs}
    asyncio.run(application(scope, receive, send))
    answered = {name.decode(): text.decode() for name, text in sent[0]["headers"]}
    return sent[0]["status"], answered, b"".join(m["body"] for m in sent[1:])


def test_a_hashed_file_is_kept_by_browsers_for_ever(sources: Path) -> None:
    collect_if_changed()
    status, headers, body = get(StaticFiles(page), staticfiles_storage.url("page.css"))
    assert (status, body.decode()) == (200, STYLE)
    assert headers["content-type"].startswith("text/css")
    assert "immutable" in headers["cache-control"]


def test_a_file_is_sent_compressed_to_whom_takes_it(sources: Path) -> None:
    collect_if_changed()
    application, url = StaticFiles(page), staticfiles_storage.url("page.css")
    _, headers, body = get(application, url, accept_encoding="gzip")
    assert headers["content-encoding"] == "gzip"
    assert gzip.decompress(body).decode() == STYLE
    _, headers, smaller = get(application, url, accept_encoding="gzip, br")
    assert headers["content-encoding"] == "br"
    assert len(smaller) < len(body)


def test_a_file_the_browser_has_is_not_sent_again(sources: Path) -> None:
    collect_if_changed()
    application, url = StaticFiles(page), staticfiles_storage.url("page.css")
    _, headers, _ = get(application, url)
    status, _, body = get(application, url, if_modified_since=headers["last-modified"])
    assert (status, body) == (304, b"")


def test_head_sends_no_body_and_other_methods_are_refused(sources: Path) -> None:
    collect_if_changed()
    application, url = StaticFiles(page), staticfiles_storage.url("page.css")
    status, headers, body = get(application, url, method="HEAD")
    assert (status, headers["content-length"], body) == (200, str(len(STYLE)), b"")
    assert get(application, url, method="POST")[0] == 405


def test_what_is_no_static_file_goes_to_the_application(sources: Path) -> None:
    collect_if_changed()
    application = StaticFiles(page)
    for path in ("/", "/static/none.css", "/static/../page.css", "/projects/page.css"):
        assert get(application, path)[0] == 299


def test_imports_between_scripts_follow_the_hashed_names(sources: Path) -> None:
    collect_if_changed()
    application = StaticFiles(page)
    script = get(application, staticfiles_storage.url("page.js"))[2].decode()
    assert Path(staticfiles_storage.url("part.js")).name in script


def test_files_are_collected_again_only_when_a_source_changed(sources: Path) -> None:
    assert collect_if_changed() is True
    assert collect_if_changed() is False
    (sources / "new.css").write_text("p { margin: 0 }")
    assert collect_if_changed() is True
    assert collect_if_changed() is False
    (sources / "new.css").unlink()
    assert collect_if_changed() is True


def test_while_debugging_files_are_read_where_they_are_written(sources: Path) -> None:
    with override_settings(DEBUG=True):
        application = StaticFiles(page)
        assert get(application, "/static/page.css")[2].decode() == STYLE
        (sources / "page.css").write_text("p { margin: 0 }")
        assert get(application, "/static/page.css")[2] == b"p { margin: 0 }"
        for path in ("/static/", "/static/none.css", "/static/../manage.py"):
            assert get(application, path)[0] == 299
