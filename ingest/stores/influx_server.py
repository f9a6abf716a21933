"""A server of the InfluxDB family: what differs by version in one small table, and what it was lately asked."""

from __future__ import annotations

import gzip
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import httpx
import structlog
import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS, WriteApi
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException

from ingest.stores.contract import StoreRefusedError, StoreUnavailableError
from ingest.stores.influx_answers import (
    NoDatabaseError,
    Rows,
    StoreRefusedLinesError,
    answer_text,
    documents,
    raise_for,
    rows_of,
)
from ingest.stores.influx_repeating import Asked, Lately

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

CONNECT_S = 5.0
WRITE_S = 30.0
"""What a write may take: some 5 MB that the server syncs to disk. **assumed**"""
QUERY_S = 120.0
"""What a query may keep silent; a year of one unit in buckets takes seconds. **assumed**"""
WRITES_AT_ONCE = 2
"""An InfluxDB 1.6 on two cores takes up to a third more in two writes at a time than in one, and no more in three."""
LOOK_EVERY_S = 1.0
"""How often is looked whether the server was started anew. **assumed**"""
CHUNK_ROWS = 5_000
"""Rows of one piece of an answer: 24 channels are some 2 MB of text. **assumed**"""
_SHARDS = ((2, "1h"), (180, "1d"), (None, "7d"))
"""How long a shard is, by the days that are kept; InfluxDB's own defaults, which it does not apply to a change."""


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


class _Writer(Protocol):
    def write(self, database: str, lines: bytes) -> None: ...

    def close(self) -> None: ...


class _Version(Protocol):
    """What differs between the versions."""

    def headers(self, access: InfluxAccess) -> dict[str, str]: ...

    def writer(self, access: InfluxAccess, http: httpx.Client) -> _Writer: ...

    def started(self, server: InfluxServer) -> str | None:
        """When the server was started, in its own words; None = this version does not need to be asked."""

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
        self._in_order = Lock()
        """Held by who changes what the server has: repeating must not overtake."""
        self._lately = Lately()
        self._writes = ThreadPoolExecutor(WRITES_AT_ONCE, "influxdb writes")
        self._started: str | None = None
        self._look_at_s = 0.0
        self._log = structlog.get_logger("ingest.influxdb")

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
        for refused in self.write_all(database, [lines]):
            if refused is not None:
                raise refused

    def write_all(self, database: str, pieces: Iterable[bytes]) -> list[StoreRefusedLinesError | None]:
        """Keep pieces of lines, WRITES_AT_ONCE at a time: of each, the error of a server that took all but some lines.

        Pieces may go in in any order. When this raises, any of them may be in: to write them again changes nothing.
        """
        self.connect()
        refused: list[StoreRefusedLinesError | None] = []
        under_way: deque[tuple[bytes, Future[None]]] = deque()
        with self._in_order:
            try:
                for lines in pieces:
                    if len(under_way) == WRITES_AT_ONCE:
                        refused.append(self._written(database, *under_way.popleft()))
                    under_way.append((lines, self._writes.submit(self._write, database, lines)))
                while under_way:
                    refused.append(self._written(database, *under_way.popleft()))
            finally:
                wait([write for _, write in under_way])
        return refused

    def _written(self, database: str, lines: bytes, write: Future[None]) -> StoreRefusedLinesError | None:
        """Await a write, and note it."""
        error: StoreRefusedLinesError | None = None
        try:
            write.result()
        except StoreRefusedLinesError as refused:
            error = refused
        self._lately.add(Asked(database, lines))
        return error

    def _write(self, database: str, lines: bytes) -> None:
        writer = self._writer
        if writer is None:
            raise StoreUnavailableError(f"{self.access.url} has lost its databases")  # a write beside this one saw it
        with self.told_apart():
            try:
                writer.write(database, lines)
            except NoDatabaseError:
                self._writer, self._retains = None, False  # the next call makes it again
                writer.close()
                raise

    def query(self, database: str, statement: str) -> Iterator[Rows]:
        """Run InfluxQL that reads; the answer streams in pieces of at most CHUNK_ROWS rows, times in ms."""
        self.connect()
        yield from self.ask("GET", statement, database)

    def change(self, database: str, statement: str) -> None:
        """Run InfluxQL that changes something."""
        self.connect()
        with self._in_order:
            for _ in self.ask("POST", statement, database):
                pass
            self._lately.add(Asked(database, statement))

    def notice_restart(self) -> None:
        """Ask again for what was asked lately, if the server was started anew since. Looks once a second at most."""
        if self._version is None or time.monotonic() < self._look_at_s or not self._in_order.acquire(blocking=False):
            return
        try:
            with self.told_apart():
                started = self._version.started(self)
            if started != self._started:
                if self._started is not None:
                    self._repeat()
                self._started = started
            self._look_at_s = time.monotonic() + LOOK_EVERY_S
        finally:
            self._in_order.release()

    def _repeat(self) -> None:
        repeated = 0
        for database, what in self._lately.pieces():
            repeated += len(what)
            if isinstance(what, str):
                for _ in self.ask("POST", what, database):
                    pass
                continue
            with suppress(StoreRefusedLinesError, StoreRefusedError):  # as the first time
                self._write(database, what)
        self._log.warning("store_was_restarted", repeated_bytes=repeated)

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
            for document in documents(answer):
                yield from rows_of(document)

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
            raise_for(error.status, error.headers or {}, answer_text(error.body) or str(error.reason))

    def close(self) -> None:
        """Let go of the connections."""
        self._writes.shutdown()
        if self._writer is not None:
            self._writer.close()
        self.http.close()


class _Version1:
    """InfluxDB 1: databases with retention policies, a user and a password, `/write`."""

    def headers(self, access: InfluxAccess) -> dict[str, str]:
        if access.username is None:
            return {}
        return {"Authorization": httpx.BasicAuth(access.username, access.password or "")._auth_header}  # noqa: SLF001

    def writer(self, access: InfluxAccess, http: httpx.Client) -> _Writer:
        return _WriteOfVersion1(http, compress=access.compress)

    def started(self, server: InfluxServer) -> str | None:
        for rows in server.ask("GET", "SHOW DIAGNOSTICS FOR 'system'"):
            return str(rows.values[0][rows.columns.index("started")])
        return None

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

    def started(self, server: InfluxServer) -> str | None:
        del server
        return None

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
            raise NoDatabaseError(f"InfluxDB has no bucket {database}")
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
