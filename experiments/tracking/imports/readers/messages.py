"""Protocol buffers of event files and of W&B's files: the few fields that are read of each.

Their numbers are fixed by the formats (tensorflow/core/util/event.proto and summary.proto,
tensorboard/plugins/hparams/plugin_data.proto, wandb/proto/wandb_internal.proto); fields that are
not listed are skipped by the parser.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "verdict.imports"
_TYPES = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "double": _TYPES.TYPE_DOUBLE,
    "float": _TYPES.TYPE_FLOAT,
    "int64": _TYPES.TYPE_INT64,
    "int32": _TYPES.TYPE_INT32,
    "bool": _TYPES.TYPE_BOOL,
    # Text whose bytes may be no UTF-8 comes as bytes: the parser refuses such text.
    "bytes": _TYPES.TYPE_BYTES,
}
# Message -> field -> (number, type), "*" behind the type of a list, "?" behind those of which
# one is set (the oneof `kind`).
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "Event": {
        "wall_time": (1, "double"),
        "step": (2, "int64"),
        "summary": (5, "Summary"),
        "session_log": (7, "SessionLog"),
    },
    "SessionLog": {"status": (1, "int32")},
    "Summary": {"value": (1, "SummaryValue*")},
    "SummaryValue": {
        "tag": (1, "bytes"),
        "simple_value": (2, "float"),
        "histogram": (5, "bytes"),
        "image": (4, "bytes"),
        "audio": (6, "bytes"),
        "tensor": (8, "Tensor"),
        "metadata": (9, "SummaryMetadata"),
    },
    "SummaryMetadata": {"plugin": (1, "PluginData")},
    "PluginData": {"name": (1, "bytes"), "content": (2, "bytes")},
    "Tensor": {
        "dtype": (1, "int32"),
        "content": (4, "bytes"),
        "half_val": (13, "int32*"),
        "float_val": (5, "float*"),
        "double_val": (6, "double*"),
        "int_val": (7, "int32*"),
        "string_val": (8, "bytes*"),
        "int64_val": (10, "int64*"),
    },
    "HParams": {"start": (3, "SessionStart"), "end": (4, "SessionEnd")},
    "SessionStart": {"hparams": (1, "HParam*"), "group": (4, "bytes"), "time": (5, "double")},
    "SessionEnd": {"status": (1, "int32"), "time": (2, "double")},
    "HParam": {"key": (1, "bytes"), "value": (2, "HParamValue")},
    "HParamValue": {"number": (2, "double?"), "text": (3, "bytes?"), "flag": (4, "bool?")},
    "Record": {
        "history": (2, "History"),
        "summary": (3, "Updates"),
        "config": (5, "Updates"),
        "stats": (7, "Stats"),
        "run": (17, "Run"),
        "exit": (18, "Exit"),
        "environment": (26, "Environment"),
    },
    "History": {"item": (1, "Item*"), "step": (2, "Step")},
    "Step": {"number": (1, "int64")},
    "Updates": {"update": (1, "Item*"), "remove": (2, "Item*")},
    "Item": {"key": (1, "bytes"), "nested": (2, "bytes*"), "json": (16, "bytes")},
    "Stats": {"time": (2, "Time"), "item": (3, "Item*")},
    "Time": {"seconds": (1, "int64"), "nanos": (2, "int32")},
    "Run": {
        "id": (1, "bytes"),
        "project": (3, "bytes"),
        "config": (4, "Updates"),
        "summary": (5, "Updates"),
        "group": (6, "bytes"),
        "job_type": (7, "bytes"),
        "name": (8, "bytes"),
        "notes": (9, "bytes"),
        "tags": (10, "bytes*"),
        "sweep": (12, "bytes"),
        "host": (13, "bytes"),
        "start": (17, "Time"),
        "git": (21, "Git"),
    },
    "Git": {"remote": (1, "bytes"), "commit": (2, "bytes")},
    "Exit": {"code": (1, "int32"), "runtime": (2, "int32")},
    "Environment": {"program": (6, "bytes"), "git": (9, "Git"), "username": (13, "bytes")},
}


@cache
def message(name: str) -> Any:
    """The class of a message; its `FromString` parses bytes, or raises `DecodeError`."""
    found = _pool().FindMessageTypeByName(f"{_PACKAGE}.{name}")
    return message_factory.GetMessageClass(found)


@cache
def _pool() -> Any:
    pool = descriptor_pool.DescriptorPool()
    file = descriptor_pb2.FileDescriptorProto(
        name="verdict_imports.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        entry = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            _add(entry, field, number, kind)
    pool.Add(file)
    return pool


def _add(entry: Any, field: str, number: int, kind: str) -> None:
    name = kind.rstrip("*?")
    added = entry.field.add(name=field, number=number)
    added.label = _TYPES.LABEL_REPEATED if kind.endswith("*") else _TYPES.LABEL_OPTIONAL
    added.type = _SCALARS.get(name, _TYPES.TYPE_MESSAGE)
    if added.type == _TYPES.TYPE_MESSAGE:
        added.type_name = f".{_PACKAGE}.{name}"
    elif kind.endswith("?"):
        if not entry.oneof_decl:
            entry.oneof_decl.add(name="kind")
        added.oneof_index = 0
