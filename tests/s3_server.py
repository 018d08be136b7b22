"""A store that speaks Amazon S3's protocol, on this machine alone."""

from __future__ import annotations

import logging
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import boto3
from django.conf import settings
from django.test import override_settings
from moto.server import ThreadedMotoServer

KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
BUCKET = "verdict"


@contextmanager
def serving() -> Iterator[str]:
    """Address of a server with one empty bucket, which the settings name as the store of files."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    try:
        with mock.patch.dict("os.environ", KEYS), override_settings(STORAGES=storages(address)):
            reset = urllib.request.Request(f"{address}/moto-api/reset", method="POST")
            urllib.request.urlopen(reset).close()  # its objects belong to the whole process
            client(address).create_bucket(Bucket=BUCKET)
            yield address
    finally:
        server.stop()


def storages(address: str) -> dict[str, Any]:
    """The setting STORAGES with that server's bucket for the files of trials."""
    options = {"bucket_name": BUCKET, "location": "of-this-team", "endpoint_url": address}
    backend = "experiments.trials.artifacts.s3_storage.S3Artifacts"
    return {**settings.STORAGES, "artifacts": {"BACKEND": backend, "OPTIONS": options}}


def client(address: str) -> Any:
    return boto3.client("s3", endpoint_url=address, region_name="us-east-1")


def keys(address: str) -> list[str]:
    """Names of all objects."""
    found = client(address).list_objects_v2(Bucket=BUCKET).get("Contents", ())
    return [entry["Key"] for entry in found]
