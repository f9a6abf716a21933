"""A server of the InfluxDB family: what differs by version in one small table, and its answers as our errors."""

from __future__ import annotations

import gzip
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import httpx
import orjson
import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS, WriteApi
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException

from ingest.stores.contract import StoreError, StoreRefusedError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CONNECT_S = 5.0
WRITE_S = 30.0
"""What a write may take: some 5 MB that the server syncs to disk. **assumed**"""
QUERY_S = 120.0
"""What a query may keep silent; a year of one unit in buckets takes seconds. **assumed**"""
CHUNK_ROWS = 5_000
"""Rows of one piece of an answer: 24 channels are some 2 MB of text. **assumed**"""
_SHARDS = ((2, "1h"), (180, "1d"), (None, "7d"))
"""How long a shard is, by the days that are kept; InfluxDB's own defaults, which it does not apply to a change."""
_NAMED_LINE = re.compile(r"unable to parse '(?P<line>.*?)': (?P<reason>[^\n\"]*)", re.DOTALL)
_DROPPED = re.compile(r" dropped=\d+$")
_BEYOND_RETENTION = "beyond retention policy"


class StoreRefusedLinesError(StoreError):
    """The server kept a write but for the lines that it names."""

    def __init__(self, message: str, lines: Mapping[str, str]) -> None:
        """`lines`: each refused line and the server's reason."""
        super().__init__(message)
        self.lines = dict(lines)


class _NoDatabaseError(StoreUnavailableError):
    """The server has lost the database, or someone dropped it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluxAccess:
    """Where the server is and who we are to it."""

    url: str
    database: str = "packwatch"
    """Its name; what holds keep lies in a second one, `<database>_kept`."""
    token: str | None = field(default=None, repr=False)
    """Of InfluxDB 2."""
    organisation: str = ""
    """Of InfluxDB 2."""
    username: str | None = None
    """Of InfluxDB 1."""
    password: str | None = field(default=None, repr=False)
    retention_days: int | None = None
    """None = everything is kept."""

    @property
    def kept(self) -> str:
        """The database that does not expire: held samples, and what is known of the other one."""
        return f"{self.database}_kept"

    @property
    def compress(self) -> bool:
        """Packing costs more than it saves within one machine."""
        return urlsplit(self.url).hostname not in {"127.0.0.1", "localhost", "::1"}


class Rows(NamedTuple):
    """A piece of an answer."""

    tags: dict[str, str]
    columns: list[str]
    values: list[list[Any]]


class _Writer(Protocol):
    def write(self, database: str, lines: bytes) -> None: ...

    def close(self) -> None: ...


class _Version(Protocol):
    """What differs between the versions."""

    def headers(self, access: InfluxAccess) -> dict[str, str]: ...

    def writer(self, access: InfluxAccess, http: httpx.Client) -> _Writer: ...

    def create(self, server: InfluxServer, database: str) -> None:
        """Make sure that the database is there."""

    def retain(self, server: InfluxServer, database: str, days: int | None) -> None:
        """Tell the database for how long to keep samples."""


class InfluxServer:
    """One server. Methods may overlap; they raise StoreUnavailableError when it does not serve now."""

    def __init__(self, access: InfluxAccess) -> None:
        """Connects at the first use."""
        self.access = access
        headers = {} if access.compress else {"Accept-Encoding": "identity"}
        timeout = httpx.Timeout(QUERY_S, connect=CONNECT_S)
        self.http = httpx.Client(base_url=access.url, timeout=timeout, headers=headers, trust_env=False)
        self._connecting = Lock()
        self._version: _Version | None = None
        self._writer: _Writer | None = None
        self._retains = False

    def connect(self) -> None:
        """Learn the version and make sure of the databases. Does nothing once that has worked."""
        if self._writer is not None:
            return
        with self._connecting, self.told_apart():
            if self._writer is not None:
                return
            answer = self.http.get("/ping")
            told = answer.headers.get("X-Influxdb-Version", "")
            version = _VERSIONS.get(told.lstrip("v").partition(".")[0])
            if version is None:
                raise StoreUnavailableError(
                    f"{self.access.url} says version {told!r}: no InfluxDB 1 or 2 that Packwatch knows"
                )
            self.http.headers.update(version.headers(self.access))
            for database in (self.access.database, self.access.kept):
                version.create(self, database)
            self._version = version
            self._writer = version.writer(self.access, self.http)

    def retain(self) -> None:
        """Set the databases' retention, once: for who writes; a reader's settings may say something else."""
        self.connect()
        if not self._retains and self._version is not None:
            with self.told_apart():
                self._version.retain(self, self.access.database, self.access.retention_days)
                self._version.retain(self, self.access.kept, None)
            self._retains = True

    def write(self, database: str, lines: bytes) -> None:
        """Keep lines with times in ms. Raises StoreRefusedLinesError when all but some went in."""
        self.connect()
        assert self._writer is not None  # noqa: S101 - connect has set it, or raised
        with self.told_apart():
            try:
                self._writer.write(database, lines)
            except _NoDatabaseError:
                self._writer.close()
                self._writer, self._retains = None, False  # the next call makes it again
                raise

    def query(self, database: str, statement: str) -> Iterator[Rows]:
        """Run InfluxQL that reads; the answer streams in pieces of at most CHUNK_ROWS rows, times in ms."""
        self.connect()
        yield from self.ask("GET", statement, database)

    def change(self, database: str, statement: str) -> None:
        """Run InfluxQL that changes something."""
        self.connect()
        for _ in self.ask("POST", statement, database):
            pass

    def ask(self, method: str, statement: str, database: str | None = None) -> Iterator[Rows]:
        """`query` and `change`, before the connection is complete."""
        form = {"q": statement, "epoch": "ms", "chunked": "true", "chunk_size": str(CHUNK_ROWS)}
        if database is not None:
            form["db"] = database
        sent = {"params": form} if method == "GET" and len(statement) < 4000 else {"data": form}
        with (
            self.told_apart(),
            self.http.stream("GET" if "params" in sent else "POST", "/query", **sent) as answer,  # type: ignore[arg-type]
        ):
            if answer.status_code != 200:
                answer.read()
                raise_for(answer.status_code, answer.headers, answer.text)
            for document in _documents(answer):
                yield from _rows(document)

    @contextmanager
    def told_apart(self) -> Iterator[None]:
        """Turn what the client libraries raise into the contract's errors."""
        try:
            yield
        except (httpx.HTTPError, urllib3.exceptions.HTTPError) as error:
            raise StoreUnavailableError(
                f"InfluxDB at {self.access.url} does not answer: {error or type(error).__name__}"
            ) from error
        except ApiException as error:
            raise_for(error.status, error.headers or {}, _text(error.body) or str(error.reason))

    def close(self) -> None:
        """Let go of the connections."""
        if self._writer is not None:
            self._writer.close()
        self.http.close()


def raise_for(status: int, headers: Mapping[str, str], text: str) -> None:
    """Raise what an answer other than success means."""
    said = _message(text)
    match status:
        case 400 | 422 if _BEYOND_RETENTION in said:
            return
        case 400 | 422 if found := _named_lines(text, said):
            raise StoreRefusedLinesError(f"InfluxDB refuses {len(found)} lines: {next(iter(found.values()))}", found)
        case 400 | 413 | 422:
            raise StoreRefusedError(f"InfluxDB refuses: {said}")
        case 404 if "not found" in said:
            raise _NoDatabaseError(f"InfluxDB has no such database: {said}")
        case 401 | 403:
            raise StoreUnavailableError(f"InfluxDB does not let Packwatch in: {said}")
        case _:
            raise StoreUnavailableError(f"InfluxDB answers {status}: {said}", _seconds(headers.get("Retry-After")))


def _named_lines(text: str, said: str) -> dict[str, str]:
    """Lines that a partial write left out, with reasons: InfluxDB 3 lists them, the others quote them."""
    try:
        listed = orjson.loads(text).get("data")
    except (orjson.JSONDecodeError, AttributeError):
        listed = None
    if isinstance(listed, list):
        return {str(each["original_line"]): str(each["error_message"]) for each in listed if "original_line" in each}
    return {found["line"]: _DROPPED.sub("", found["reason"]) for found in _NAMED_LINE.finditer(said)}


def _message(text: str) -> str:
    try:
        answer = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text.strip()[:2000]
    if isinstance(answer, dict):
        return str(answer.get("error") or answer.get("message") or text)
    return text


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.strip().isdigit() else None


def _text(body: object) -> str:
    return body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")


def _documents(answer: httpx.Response) -> Iterator[Any]:
    """The JSON documents of a chunked answer, each on a line of its own."""
    pieces: list[bytes] = []
    for piece in answer.iter_bytes():
        *whole, rest = piece.split(b"\n")
        for line in whole:
            pieces.append(line)
            if text := b"".join(pieces):
                yield orjson.loads(text)
            pieces = []
        if rest:
            pieces.append(rest)
    if text := b"".join(pieces):
        yield orjson.loads(text)


def _rows(document: Any) -> Iterator[Rows]:
    for result in (document, *document.get("results", ())):
        if error := result.get("error"):
            raise StoreUnavailableError(f"InfluxDB could not answer: {error}")
        for series in result.get("series", ()):
            yield Rows(series.get("tags") or {}, series["columns"], series.get("values") or [])


class _Version1:
    """InfluxDB 1: databases with retention policies, a user and a password, `/write`."""

    def headers(self, access: InfluxAccess) -> dict[str, str]:
        if access.username is None:
            return {}
        return {"Authorization": httpx.BasicAuth(access.username, access.password or "")._auth_header}  # noqa: SLF001

    def writer(self, access: InfluxAccess, http: httpx.Client) -> _Writer:
        return _WriteOfVersion1(http, compress=access.compress)

    def create(self, server: InfluxServer, database: str) -> None:
        for _ in server.ask("POST", f"CREATE DATABASE {quoted(database)}"):
            pass

    def retain(self, server: InfluxServer, database: str, days: int | None) -> None:
        duration = "INF" if days is None else f"{days}d"
        shard = next(shard for limit, shard in _SHARDS if limit is None or (days is not None and days < limit))
        name = quoted(database)
        policy = f'ALTER RETENTION POLICY "autogen" ON {name} DURATION {duration} SHARD DURATION {shard} DEFAULT'
        for _ in server.ask("POST", policy):
            pass


class _WriteOfVersion1:
    def __init__(self, http: httpx.Client, *, compress: bool) -> None:
        self._http = http
        self._compress = compress

    def write(self, database: str, lines: bytes) -> None:
        headers = {"Content-Encoding": "gzip"} if self._compress else {}
        answer = self._http.post(
            "/write",
            params={"db": database, "precision": "ms"},
            content=gzip.compress(lines, 1) if self._compress else lines,
            headers=headers,
            timeout=httpx.Timeout(WRITE_S, connect=CONNECT_S),
        )
        if not answer.is_success:
            raise_for(answer.status_code, answer.headers, answer.text)

    def close(self) -> None:
        pass


class _Version2:
    """InfluxDB 2: buckets with a mapping for InfluxQL, a token, the v2 write API."""

    def headers(self, access: InfluxAccess) -> dict[str, str]:
        return {"Authorization": f"Token {access.token or ''}"}

    def writer(self, access: InfluxAccess, http: httpx.Client) -> _Writer:
        del http
        return WriteOfVersion2(access)

    def create(self, server: InfluxServer, database: str) -> None:
        org_id = self._org_id(server)
        bucket = self._bucket(server, org_id, database)
        if bucket is None:
            wanted = {"orgID": org_id, "name": database, "retentionRules": []}
            bucket = self._send(server, "POST", "/api/v2/buckets", wanted)
        if not self._get(server, "/api/v2/dbrps", orgID=org_id, db=database).get("content"):
            mapping = {"orgID": org_id, "bucketID": bucket["id"], "database": database}
            self._send(server, "POST", "/api/v2/dbrps", {**mapping, "retention_policy": "autogen", "default": True})

    def retain(self, server: InfluxServer, database: str, days: int | None) -> None:
        bucket = self._bucket(server, self._org_id(server), database)
        rules = [] if days is None else [{"type": "expire", "everySeconds": days * 86_400}]
        if bucket is None:
            raise _NoDatabaseError(f"InfluxDB has no bucket {database}")
        if [rule.get("everySeconds", 0) for rule in bucket.get("retentionRules") or []] != [
            rule["everySeconds"] for rule in rules
        ]:
            self._send(server, "PATCH", f"/api/v2/buckets/{bucket['id']}", {"retentionRules": rules})

    def _org_id(self, server: InfluxServer) -> str:
        organisation = server.access.organisation
        found = self._get(server, "/api/v2/orgs", org=organisation).get("orgs") or []
        if not found:
            raise StoreUnavailableError(f"InfluxDB knows no organisation {organisation!r}, or not for this token")
        return str(found[0]["id"])

    def _bucket(self, server: InfluxServer, org_id: str, name: str) -> dict[str, Any] | None:
        found: list[dict[str, Any]] = self._get(server, "/api/v2/buckets", orgID=org_id, name=name).get("buckets") or []
        return found[0] if found else None

    def _get(self, server: InfluxServer, path: str, **query: str) -> dict[str, Any]:
        answer = server.http.get(path, params=query)
        if answer.status_code == 404:  # so buckets and mappings that are not there are told
            return {}
        return self._content(answer)

    def _send(self, server: InfluxServer, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._content(server.http.request(method, path, json=body))

    def _content(self, answer: httpx.Response) -> dict[str, Any]:
        if not answer.is_success:
            raise_for(answer.status_code, answer.headers, answer.text)
        content: dict[str, Any] = answer.json() if answer.content else {}
        return content


class WriteOfVersion2:
    """The v2 write API, which other databases speak as well."""

    def __init__(self, access: InfluxAccess) -> None:
        """Connects at the first write. Nothing is repeated in here."""
        self._client = InfluxDBClient(
            url=access.url,
            token=access.token or "",
            org=access.organisation,
            timeout=(int(CONNECT_S * 1000), int(WRITE_S * 1000)),
            enable_gzip=access.compress,
        )
        self._write: WriteApi = self._client.write_api(write_options=SYNCHRONOUS)

    def write(self, database: str, lines: bytes) -> None:
        self._write.write(bucket=database, record=lines, write_precision=_MS)

    def close(self) -> None:
        self._client.close()  # type: ignore[no-untyped-call]  # the client has no types there


_MS: Any = WritePrecision.MS
"""The client's types take it for a plain text."""

_VERSIONS: dict[str, _Version] = {"1": _Version1(), "2": _Version2()}
"""By the first number of what /ping tells."""


def quoted(name: str) -> str:
    """An identifier of InfluxQL."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def literal(text: str) -> str:
    """A string of InfluxQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
