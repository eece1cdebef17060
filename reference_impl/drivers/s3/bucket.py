"""What the driver asks of an S3 server, request by request, and how it understands the answers.

An answer that says nothing about the object is `Unavailable`: no connection, no answer in time, an error
of the server, a bucket that does not exist or that we may not use.  `NotFound` is raised only where the
server said in so many words that there is no such key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.response import StreamingBody

from ..base import DriverError, NotFound, Unavailable
from .client import make_client
from .place import Place

if TYPE_CHECKING:
    from datetime import datetime

    from mypy_boto3_s3 import S3Client

DELETED_AT_ONCE_MAX = 1000
PARTS_MAX = 10_000
_COPIES_AT_ONCE = 8
_BUSY_CODES = frozenset(
    {
        *("SlowDown", "Throttling", "ThrottlingException", "RequestLimitExceeded", "RequestTimeout"),
        *("ServiceUnavailable", "InternalError", "OperationAborted", "ConditionalRequestConflict"),
    }
)
_SETUP_CODES = frozenset(
    {
        *("NoSuchBucket", "AccessDenied", "AllAccessDisabled", "InvalidAccessKeyId", "SignatureDoesNotMatch"),
        *("InvalidBucketName", "PermanentRedirect", "AuthorizationHeaderMalformed", "RequestTimeTooSkewed"),
        *("ExpiredToken", "InvalidToken"),
    }
)


class Changed(DriverError):
    """The object is not the one that was meant any more."""


class UploadGone(DriverError):
    """The multipart upload was completed or aborted."""


class Found(NamedTuple):
    """An object, as HEAD, GET or a listing tells; listings know no metadata, and not always the tag."""

    key: str
    size_bytes: int
    modified_ns: int
    tag: str
    metadata: Mapping[str, str]


class Written(NamedTuple):
    """An object that was just stored; ``server_ns`` is the server's time then, 0 if it did not tell."""

    tag: str
    server_ns: int


class Part(NamedTuple):
    number: int
    size_bytes: int
    tag: str


class OpenUpload(NamedTuple):
    key: str
    upload: str
    begun_ns: int


class Bucket:
    """Every method may be called from any thread, and may raise Unavailable or another DriverError."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._guard = Lock()
        self._clients: dict[float, S3Client] = {}
        self._copiers = ThreadPoolExecutor(_COPIES_AT_ONCE, thread_name_prefix="s3-copy")

    @property
    def name(self) -> str:
        return self.place.bucket

    def client(self, timeout_s: float | None = None) -> S3Client:
        """The library's client that waits so long for an answer; each is made once."""
        timeout_s = timeout_s or self.place.timeout_s
        with self._guard:
            if timeout_s not in self._clients:
                with self._asking("client"):
                    self._clients[timeout_s] = make_client(self.place, timeout_s)
            return self._clients[timeout_s]

    # -- objects ---------------------------------------------------------------------------

    def head(self, key: str) -> Found | None:
        """Look at an object.  None also if the bucket is not there: a listing tells these apart."""
        with self._asking(key):
            try:
                answer = self.client().head_object(Bucket=self.name, Key=key)
            except ClientError as error:
                if _status(error) == 404:
                    return None
                raise
        return Found(
            key,
            answer["ContentLength"],
            _whole_seconds_ns(answer["LastModified"]),
            answer["ETag"],
            answer["Metadata"],
        )

    def get(self, key: str, first: int = 0, last: int | None = None, tag: str = "") -> tuple[Found, Body]:
        """Read from offset ``first`` to ``last``, inclusive, or to the end, which must be after ``first``.

        Raises NotFound; Changed if the object has another tag than ``tag``.
        """
        asked: dict[str, Any] = {"Bucket": self.name, "Key": key}
        if first or last is not None:
            asked["Range"] = f"bytes={first}-{'' if last is None else last}"
        if tag:
            asked["IfMatch"] = tag
        with self._asking(key):
            answer = self.client().get_object(**asked)
        found = Found(
            key,
            answer["ContentLength"],
            _whole_seconds_ns(answer["LastModified"]),
            answer["ETag"],
            answer["Metadata"],
        )
        return found, Body(answer["Body"], lambda: self._asking(key))

    def put(
        self,
        key: str,
        body: bytes | IO[bytes],
        metadata: Mapping[str, str] | None = None,
        *,
        new: bool = False,
    ) -> Written | None:
        """Store an object.  With ``new`` nothing is replaced; None if there is an object already."""
        asked: dict[str, Any] = {"Bucket": self.name, "Key": key, "Body": body, "Metadata": metadata or {}}
        if new:
            asked["IfNoneMatch"] = "*"
        with self._asking(key):
            try:
                return _written(self.client().put_object(**asked))
            except ClientError as error:
                if new and _status(error) == 412:
                    return None
                raise

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, at most 1000, whether they are there or not; in no certain order."""
        if len(keys) == 1:
            with self._asking(keys[0]):
                self.client().delete_object(Bucket=self.name, Key=keys[0])
        elif keys:
            with self._asking(keys[0]):
                answer = self.client().delete_objects(
                    Bucket=self.name, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
                )
            for error in answer.get("Errors", []):
                if error.get("Code") != "NoSuchKey":
                    raise self._refusal(error.get("Code", ""), 0, error.get("Key", keys[0]))

    def pages(
        self, prefix: str, *, delimiter: str = "", after: str = "", entries: int | None = None
    ) -> Iterator[tuple[list[Found], list[str]]]:
        """Yield pages of the objects below a prefix, by key, and of common prefixes up to a delimiter."""
        asked: dict[str, Any] = {"Bucket": self.name, "Prefix": prefix}
        asked["MaxKeys"] = entries or self.place.page_entries
        if delimiter:
            asked["Delimiter"] = delimiter
        if after:
            asked["StartAfter"] = after
        while True:
            with self._asking(prefix):
                answer = self.client().list_objects_v2(**asked)
            found = [
                Found(one["Key"], one["Size"], _whole_seconds_ns(one["LastModified"]), one["ETag"], {})
                for one in answer.get("Contents", [])
            ]
            yield found, [one["Prefix"] for one in answer.get("CommonPrefixes", [])]
            if not answer.get("IsTruncated") or "NextContinuationToken" not in answer:
                return
            asked["ContinuationToken"] = answer["NextContinuationToken"]

    def copy(self, source: Found, target: str) -> Written:
        """Copy an object's content, without its metadata; the target appears in one step.

        Raises NotFound, Changed.
        """
        if source.size_bytes <= self.place.copy_size_bytes:
            with self._asking(source.key):
                answer = self.client(self.place.long_timeout_s).copy_object(
                    Bucket=self.name,
                    Key=target,
                    CopySource={"Bucket": self.name, "Key": source.key},
                    CopySourceIfMatch=source.tag,
                    MetadataDirective="REPLACE",
                    Metadata={},
                )
            return _written(answer, answer["CopyObjectResult"])
        upload = self.begin(target)
        try:
            parts = self.copy_parts(source, self._ranges(source), target, upload)
            return self.complete(target, upload, parts)
        except UploadGone as error:
            # Someone aborted it, or it is complete and only the answer was lost: to copy again is safe.
            raise Unavailable(f"bucket {self.name}: {target} was not copied") from error
        except DriverError:
            self.abort(target, upload)
            raise

    def _ranges(self, source: Found) -> Iterator[tuple[int, int]]:
        """Yield number and size of the ranges an object is copied in."""
        size_bytes = max(self.place.copy_size_bytes, -(-source.size_bytes // PARTS_MAX))
        for number, first in enumerate(range(0, source.size_bytes, size_bytes), start=1):
            yield number, min(size_bytes, source.size_bytes - first)

    # -- multipart uploads -----------------------------------------------------------------

    def begin(self, key: str) -> str:
        """Begin a multipart upload; returns its id."""
        with self._asking(key):
            return self.client().create_multipart_upload(Bucket=self.name, Key=key)["UploadId"]

    def put_part(self, key: str, upload: str, number: int, body: bytes | IO[bytes]) -> None:
        """Store a part, replacing one of the same number.  Raises UploadGone."""
        with self._asking(key):
            self.client().upload_part(
                Bucket=self.name, Key=key, UploadId=upload, PartNumber=number, Body=body
            )

    def copy_parts(
        self, source: Found, ranges: Iterable[tuple[int, int]], key: str, upload: str
    ) -> list[Part]:
        """Make the begin of an object parts of an upload; ``ranges`` has their numbers and sizes."""
        wanted = []
        first = 0
        for number, length in ranges:
            wanted.append((number, first, length))
            first += length
        return list(self._copiers.map(lambda one: self._copy_part(source, key, upload, *one), wanted))

    def _copy_part(self, source: Found, key: str, upload: str, number: int, first: int, length: int) -> Part:
        with self._asking(source.key):
            answer = self.client(self.place.long_timeout_s).upload_part_copy(
                Bucket=self.name,
                Key=key,
                UploadId=upload,
                PartNumber=number,
                CopySource={"Bucket": self.name, "Key": source.key},
                CopySourceRange=f"bytes={first}-{first + length - 1}",
                CopySourceIfMatch=source.tag,
            )
        return Part(number, length, answer["CopyPartResult"]["ETag"])

    def parts(self, key: str, upload: str, after: int = 0) -> Iterator[Part]:
        """Yield the parts with numbers above ``after``, by number.  Raises UploadGone."""
        asked: dict[str, Any] = {"Bucket": self.name, "Key": key, "UploadId": upload}
        asked |= {"MaxParts": self.place.page_entries, "PartNumberMarker": after}
        while True:
            with self._asking(key):
                answer = self.client().list_parts(**asked)
            for one in answer.get("Parts", []):
                yield Part(one["PartNumber"], one["Size"], one["ETag"])
            if not answer.get("IsTruncated"):
                return
            asked["PartNumberMarker"] = answer["NextPartNumberMarker"]

    def complete(self, key: str, upload: str, parts: Sequence[Part]) -> Written:
        """Make an object of parts.  Raises UploadGone."""
        chosen: list[Any] = [{"PartNumber": part.number, "ETag": part.tag} for part in parts]
        with self._asking(key):
            answer = self.client(self.place.long_timeout_s).complete_multipart_upload(
                Bucket=self.name, Key=key, UploadId=upload, MultipartUpload={"Parts": chosen}
            )
        return _written(answer)

    def abort(self, key: str, upload: str) -> None:
        """Forget an upload and its parts, if it is there."""
        try:
            with self._asking(key):
                self.client().abort_multipart_upload(Bucket=self.name, Key=key, UploadId=upload)
        except UploadGone:
            pass

    def uploads(self, prefix: str) -> Iterator[OpenUpload]:
        """Yield the open uploads below a prefix, by key.

        Pages go on behind the last key: of very many uploads to one key some are left out.  MinIO tells
        nothing at all unless the prefix is a key; it aborts old uploads by itself.
        """
        asked: dict[str, Any] = {"Bucket": self.name, "Prefix": prefix}
        asked["MaxUploads"] = self.place.page_entries
        while True:
            with self._asking(prefix):
                answer = self.client().list_multipart_uploads(**asked)
            for one in answer.get("Uploads", []):
                yield OpenUpload(one["Key"], one["UploadId"], _whole_seconds_ns(one["Initiated"]))
            marker = answer.get("NextKeyMarker")
            if not answer.get("IsTruncated") or not marker or marker == asked.get("KeyMarker"):
                return
            asked["KeyMarker"] = marker

    # -- errors ----------------------------------------------------------------------------

    @contextmanager
    def _asking(self, key: str) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise self._refusal(error.response["Error"].get("Code", ""), _status(error), key) from error
        except ParamValidationError:
            raise
        except BotoCoreError as error:
            raise Unavailable(f"bucket {self.name}: {error}") from error

    def _refusal(self, code: str, status: int, key: str) -> DriverError:
        if code == "NoSuchKey":
            return NotFound(key)
        if code == "NoSuchUpload":
            return UploadGone(key)
        if code == "PreconditionFailed" or status == 412:
            return Changed(f"{key} is not what it was")
        if code in _SETUP_CODES:
            advice = "see to its name, region and endpoint, and to the key and its rights"
            return Unavailable(f"bucket {self.name}: {code}; {advice}")
        if code in _BUSY_CODES or status >= 500 or status in (403, 404, 408, 429):
            return Unavailable(f"bucket {self.name}: {code or 'no reason'} ({status})")
        return DriverError(f"bucket {self.name}, key {key}: {code} ({status})")


class Body:
    """The bytes of an answer, as they come."""

    def __init__(self, body: StreamingBody, asking: Callable[[], Any]) -> None:
        self._body = body
        self._asking = asking

    def read(self, length_bytes: int | None = None) -> bytes:
        """Return so many bytes, or all the rest; fewer only at the end.  Raises Unavailable."""
        with self._asking():
            if length_bytes is None:
                return self._body.read()
            blocks = []
            while length_bytes > 0 and (block := self._body.read(length_bytes)):
                blocks.append(block)
                length_bytes -= len(block)
            return b"".join(blocks)

    def close(self) -> None:
        self._body.close()


def _status(error: ClientError) -> int:
    return int(error.response["ResponseMetadata"]["HTTPStatusCode"])


def _whole_seconds_ns(time: datetime) -> int:
    """Listings of some servers know milliseconds, but HEAD knows seconds only: always tell the same."""
    return int(time.timestamp()) * 10**9


def _written(answer: Any, result: Any = None) -> Written:
    text = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
    try:
        server_ns = _whole_seconds_ns(parsedate_to_datetime(text))
    except ValueError:
        server_ns = 0
    return Written((result or answer)["ETag"], server_ns)
