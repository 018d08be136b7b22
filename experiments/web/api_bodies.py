"""Request bodies: JSON, gzip accepted, with clear errors.

What a body may unpack to, how deep it may be and how many values it may hold is bounded before
anything is built of it: 46 KB of gzip can hold 10 million lists, which take 500 MB.
"""

from __future__ import annotations

import json
import re
import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, TypeVar

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest
from ninja import Schema
from pydantic import ValidationError

from experiments.errors import Problem, VerdictError

MOST_BYTES = 16 * 2**20  # of a body after decompression; config.limits bounds what arrives
MOST_VALUES = 500_000  # about: commas and opening brackets are counted
DEEPEST = 64  # levels, at least
LARGE_BYTES = 2**20  # larger bodies are read one after another, so that their memory adds up once
_PIECE = 64 * 1024
_ONE_LARGE = threading.Lock()
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))
Read = TypeVar("Read", bound=Schema)
# What a text needs to be looked at for characters that no database stores; most have neither.
_MAYBE_UNSTORABLE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


class BadBody(VerdictError):
    """The body cannot be read at all."""


class InvalidBody(VerdictError):
    """The body was read, but fields are wrong."""

    status = 422


class BodyTooLarge(VerdictError):
    status = 413


class UnknownEncoding(VerdictError):
    status = 415


def read(request: HttpRequest, schema: type[Read]) -> Read:
    """The body of a request as `schema` has it.

    Raises:
        VerdictError: with 400, 413, 415 or 422 and what would be right.
    """
    with ExitStack() as turn:
        return _read(_unpacked(request, turn), schema)


def _read(raw: bytes, schema: type[Read]) -> Read:
    document = _object(raw)
    try:
        return schema.model_validate(document)
    except ValidationError as error:
        problems = [
            Problem(
                ".".join(str(part) for part in detail["loc"]),
                detail["msg"].removeprefix("Value error, "),
            )
            for detail in error.errors(include_url=False, include_input=False)
        ]
        raise InvalidBody("The request has errors.", problems) from None


def read_object(request: HttpRequest) -> dict[str, Any]:
    """The body of a request, which is a JSON object.

    Raises:
        VerdictError: with 400, 413 or 415 and what would be right.
    """
    with ExitStack() as turn:
        return _object(_unpacked(request, turn))


def _object(raw: bytes) -> dict[str, Any]:
    if _is_deep(raw):
        raise BadBody(f"The body is nested deeper than {DEEPEST} levels.")
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise BadBody(f"The body is no JSON: {error}.") from None
    if _MAYBE_UNSTORABLE.search(raw) and not _storable(document):
        raise BadBody("The body holds NUL or half a surrogate pair, which no text may hold.")
    if not isinstance(document, dict):
        raise BadBody("The body is no JSON object.")
    return document


def _unpacked(request: HttpRequest, turn: ExitStack) -> bytes:
    """The body as JSON text; where it is large, `turn` ends its turn.

    Raises:
        VerdictError: with 400, 413 or 415, as soon as too much has been unpacked.
    """
    raw, values = bytearray(), 0
    for piece in _pieces(request):
        if len(raw) <= LARGE_BYTES < len(raw) + len(piece):
            turn.enter_context(_ONE_LARGE)
        raw += piece
        values += sum(piece.count(mark) for mark in (b",", b"[", b"{"))
        if values > MOST_VALUES or len(raw) > MOST_BYTES:
            raw.clear()  # the error's traceback would keep it
            raise BodyTooLarge(
                f"The body unpacks to more than {MOST_BYTES // 2**20} MiB or {MOST_VALUES} "
                "values; split it."
            )
    return bytes(raw)


def _pieces(request: HttpRequest) -> Iterator[bytes]:
    try:
        body = request.body
    except RequestDataTooBig:
        raise BodyTooLarge(
            "The body is too large: expected at most 2.5 MB as it is sent; split it."
        ) from None
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding == "identity":
        yield body
        return
    if encoding != "gzip":
        raise UnknownEncoding(
            f"Content-Encoding {encoding!r:.40} is not known; expected gzip or none."
        )
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        while piece := unpacker.decompress(body, _PIECE):
            yield piece
            body = unpacker.unconsumed_tail
    except zlib.error as error:
        raise BadBody(f"The body is no gzip: {error}.") from None
    if not unpacker.eof or unpacker.unused_data:
        raise BadBody("The body is cut off, or holds more than one gzip stream.")


def _is_deep(raw: bytes) -> bool:
    """Test whether brackets are nested deeper than `DEEPEST`, strings left out.

    Each turn takes away the innermost ones; all of it is done by C code over the whole text.
    """
    bare = raw.replace(rb"\\", b"").replace(rb"\"", b"").translate(None, _NOT_STRUCTURE)
    bare = re.sub(rb'"[^"]*"', b"", bare.replace(b'""', b""))
    for _ in range(DEEPEST):
        outer = bare.replace(b"[]", b"").replace(b"{}", b"")
        if len(outer) == len(bare):  # nothing is left, or it is no JSON
            return False
        bare = outer
    return bool(bare)


def _storable(document: Any) -> bool:
    return not any(
        character == "\x00" or "\ud800" <= character <= "\udfff"
        for text in _texts(document)
        for character in text
    )


def _texts(document: Any) -> list[str]:
    """Every text in a document, keys among them; without recursion, however deep it is."""
    found: list[str] = []
    left = [document]
    while left:
        value = left.pop()
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, dict):
            left += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            left += value
    return found


def described(schema: type[Schema], *, required: bool = True) -> dict[str, Any]:
    """The OpenAPI entry of a body that is read by `read`; what it refers to stands inside it."""
    document = schema.model_json_schema()
    parts = document.pop("$defs", {})
    inside = _inlined(document, parts)
    return {
        "requestBody": {"content": {"application/json": {"schema": inside}}, "required": required}
    }


def _inlined(document: Any, parts: dict[str, Any]) -> Any:
    if isinstance(document, list):
        return [_inlined(element, parts) for element in document]
    if not isinstance(document, dict):
        return document
    if "$ref" in document:
        return _inlined(parts[document["$ref"].rpartition("/")[2]], parts)
    return {key: _inlined(member, parts) for key, member in document.items()}


def file_body() -> dict[str, Any]:
    """The OpenAPI entry of a body that is a file."""
    sent = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    return {"requestBody": {"content": sent, "required": True}}


def file(*kinds: str) -> dict[str, Any]:
    """The OpenAPI entry of a file that is answered, with the errors in the one shape."""
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorOut"}}}
    sent = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in kinds}
    errors = {
        status: {"description": "Error", "content": error} for status in (400, 401, 404, 409, 422)
    }
    return {"responses": {200: {"description": "The file", "content": sent}, **errors}}
