"""Any store that speaks Amazon S3's protocol, for the files of trials."""

from __future__ import annotations

import base64
import hashlib
import logging
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from storages.backends.s3 import S3Storage

from experiments.trials.artifacts.storage import BLOCK, StorageAway, StoredFile

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

logger = logging.getLogger(__name__)

PART = 16 * 2**20  # of a file that is sent in parts; held in memory one at a time
MOST_PARTS, MOST_DELETED = 10_000, 1_000  # the protocol's own limits
TRIES = 5  # to go on with a download without a byte in between
_BROKEN = (BotoCoreError, HTTPClientError, ConnectionError)


class S3Artifacts(S3Storage):  # type: ignore[misc]
    """Files of trials in a bucket, under the names that records know them by."""

    is_remote = True

    def __init__(self, **options: Any) -> None:
        # Other stores than Amazon's know neither buckets as host names nor its newer checksums.
        style: Literal["path", "auto"] = "path" if options.get("endpoint_url") else "auto"
        options["client_config"] = Config(
            s3={"addressing_style": style},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=5,
            read_timeout=60,
            retries={"mode": "standard", "total_max_attempts": TRIES},
        )
        super().__init__(**options)

    def put(self, path: str, source: Path) -> None:
        with source.open("rb") as file, _told(path):
            size = os.fstat(file.fileno()).st_size
            if size > PART:
                self._put_in_parts(self._key(path), file, size)
            else:
                content = file.read()
                self._client.put_object(
                    Bucket=self.bucket_name,
                    Key=self._key(path),
                    Body=content,
                    ContentMD5=_checksum(content),
                )

    def read(self, path: str, start: int = 0) -> Iterator[bytes]:
        place = {"Bucket": self.bucket_name, "Key": self._key(path)}
        with _told(path):
            about = self._client.head_object(**place)
            tries = 0
            while start < about["ContentLength"]:
                try:
                    answer = self._client.get_object(
                        **place,
                        Range=f"bytes={start}-",
                        IfMatch=about["ETag"],
                    )
                    for block in answer["Body"].iter_chunks(BLOCK):
                        start, tries = start + len(block), 0
                        yield block
                except _BROKEN:
                    tries += 1
                    if tries >= TRIES:
                        raise

    def size_of(self, path: str) -> int:
        with _told(path):
            about = self._client.head_object(Bucket=self.bucket_name, Key=self._key(path))
        return about["ContentLength"]

    def remove(self, paths: Iterable[str]) -> None:
        keys = [self._key(path) for path in paths]
        for start in range(0, len(keys), MOST_DELETED):
            part = keys[start : start + MOST_DELETED]
            with _told(part[0]):
                answer = self._client.delete_objects(
                    Bucket=self.bucket_name,
                    Delete={"Objects": [{"Key": key} for key in part], "Quiet": True},
                )
            for error in answer.get("Errors", ()):
                logger.warning("%s could not be deleted: %s", error["Key"], error["Message"])

    def files_in(self, folder: str) -> list[StoredFile]:
        return [
            StoredFile(
                f"{folder}/{file['Key'].rpartition('/')[2]}", file["Size"], file["LastModified"]
            )
            for page in self._pages(folder)
            for file in page.get("Contents", ())
        ]

    def folders_in(self, folder: str) -> list[str]:
        return [
            prefix["Prefix"].rstrip("/").rpartition("/")[2]
            for page in self._pages(folder)
            for prefix in page.get("CommonPrefixes", ())
        ]

    @property
    def _client(self) -> S3Client:
        client: S3Client = self.connection.meta.client
        return client

    def _key(self, path: str) -> str:
        key: str = self._normalize_name(path)
        return key

    def _pages(self, folder: str) -> Iterator[Any]:
        pages = self._client.get_paginator("list_objects_v2")
        with _told(folder):
            yield from pages.paginate(
                Bucket=self.bucket_name, Prefix=f"{self._key(folder)}/", Delimiter="/"
            )

    def _put_in_parts(self, key: str, file: IO[bytes], size: int) -> None:
        """Send what a broken transfer of the same file has not brought there yet."""
        place = {"Bucket": self.bucket_name, "Key": key}
        upload, there = self._begun(key)
        if not upload:
            upload = self._client.create_multipart_upload(**place)["UploadId"]
        parts: list[CompletedPartTypeDef] = []
        length = max(PART, math.ceil(size / MOST_PARTS))
        for number, start in enumerate(range(0, size, length), start=1):
            content = file.read(length)
            tag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
            if there.get(number) != (tag, len(content)):
                tag = self._client.upload_part(
                    **place,
                    UploadId=upload,
                    PartNumber=number,
                    Body=content,
                    ContentMD5=_checksum(content),
                )["ETag"]
            parts.append({"ETag": tag, "PartNumber": number})
            if start + len(content) < min(start + length, size):
                raise OSError(f"{key}: the file became shorter while it was sent")
        self._client.complete_multipart_upload(
            **place,
            UploadId=upload,
            MultipartUpload={"Parts": parts},
        )

    def _begun(self, key: str) -> tuple[str, dict[int, tuple[str, int]]]:
        """The newest broken transfer of a key, and by number the parts that have arrived."""
        answer = self._client.list_multipart_uploads(Bucket=self.bucket_name, Prefix=key)
        begun = [
            open_upload for open_upload in answer.get("Uploads", ()) if open_upload["Key"] == key
        ]
        if not begun:
            return "", {}
        upload = max(begun, key=lambda open_upload: open_upload["Initiated"])["UploadId"]
        pages = self._client.get_paginator("list_parts").paginate(
            Bucket=self.bucket_name, Key=key, UploadId=upload
        )
        parts = [part for page in pages for part in page.get("Parts", ())]
        return upload, {part["PartNumber"]: (part["ETag"], part["Size"]) for part in parts}


def _checksum(content: bytes) -> str:
    """Checksum that the store compares with what it received."""
    digest = hashlib.md5(content, usedforsecurity=False).digest()
    return base64.b64encode(digest).decode("ascii")


@contextmanager
def _told(path: str) -> Iterator[None]:
    """Errors of the protocol as those of a disk."""
    try:
        yield
    except ClientError as error:
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 404:
            raise FileNotFoundError(2, "the store has no such file", path) from error
        raise StorageAway(f"{path}: {error}") from error
    except _BROKEN as error:
        raise StorageAway(f"{path}: {error}") from error
