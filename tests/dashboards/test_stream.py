"""The live stream over a real server: first everything, then what changed, and an end when the server stops."""

import asyncio
import contextlib
import json
import socket
import time
import zlib
from dataclasses import dataclass

import httpx
import pytest
import uvicorn

from dashboards import models, stream
from dashboards.accounts import Passwords
from dashboards.app import create_app
from registry.kinds import Level

NOW_MS = 1_800_000_000_000
DEADLINE_S = 10
UNPACKED = {"Accept-Encoding": "identity"}
MODELS = {
    "board": models.Board,
    "pack": models.PackRow,
    "vehicle": models.Vehicle,
    "alert": models.Alert,
    "incidents": models.IncidentNews,
    "intake": models.Intake,
}


@dataclass
class Event:
    name: str
    id: str
    body: dict

    @property
    def version(self) -> int:
        return int(self.id.partition("-")[2])


class Reader:
    """An EventSource's reading, one event at a time."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        self._lines = answer.aiter_lines()

    async def next(self, name: str | None = None) -> Event:
        """The next event, or the next of that name. Fails at the deadline; raises StopAsyncIteration at the end."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                event = await self._one()
                if name in {None, event.name}:
                    return event

    async def to_the_end(self) -> None:
        """Read until the server has ended the stream."""
        with contextlib.suppress(StopAsyncIteration):
            while True:
                await self.next()

    async def _one(self) -> Event:
        fields: dict[str, str] = {}
        while True:
            line = await anext(self._lines)
            if line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "data" in fields:
                event = Event(fields["event"], fields["id"], json.loads(fields["data"]))
                if event.name in MODELS:
                    MODELS[event.name].model_validate(event.body)
                return event


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self):
        """The tests' own signals stay theirs."""
        yield


@dataclass
class Running:
    """A server as the composition root runs it."""

    server: uvicorn.Server
    task: asyncio.Task
    shutdown: asyncio.Event
    url: str

    async def stop(self) -> float:
        """As Ctrl-C does; returns how long it took, s."""
        began = time.monotonic()
        self.shutdown.set()
        self.server.should_exit = True
        await asyncio.wait_for(self.task, DEADLINE_S)
        return time.monotonic() - began


@pytest.fixture
async def running(parts):
    began = time.monotonic()
    parts["now_ms"] = lambda: NOW_MS + int((time.monotonic() - began) * 1000)
    config = uvicorn.Config(
        create_app(**parts), host="127.0.0.1", port=0, log_config=None, lifespan="off", timeout_graceful_shutdown=1
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(DEADLINE_S):
        while not server.started:
            await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    running = Running(server=server, task=task, shutdown=parts["shutdown"], url=f"http://127.0.0.1:{port}")
    yield running
    await running.stop()


@pytest.fixture
async def browser(running, claim_path):
    """A signed-in browser at the running server."""
    async with httpx.AsyncClient(base_url=running.url, headers={"X-Packwatch": "1"}, timeout=DEADLINE_S) as client:
        token = claim_path.partition("token=")[2]
        claimed = await client.post(
            "/api/claim", json={"token": token, "name": "Ana", "password": "four unrelated words here"}
        )
        assert claimed.status_code == 200, claimed.text
        yield client


@contextlib.asynccontextmanager
async def reading(client: httpx.AsyncClient, **headers: str):
    async with client.stream("GET", "/api/stream", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield Reader(answer)


async def test_first_the_board_then_what_changes(browser, board, make_batch, make_alert):
    board.observe([make_batch([[20, 21, 22]])])
    async with reading(browser) as reader:
        whole = await reader.next()
        assert (whole.name, whole.body["packs"][0]["hottest_c"]) == ("board", 22.0)
        board.observe([make_batch([[20, 21, 95]], at_ms=NOW_MS + 1)])
        changed = await reader.next("pack")
        assert changed.body["hottest_c"] == 95.0
        alert = make_alert(level=Level.CRITICAL, pack_id=None)
        board.observe_alert(alert)
        raised = await reader.next("alert")
        assert raised.body["alert_id"] == alert.alert_id
        assert whole.version < changed.version < raised.version
        board.note_incident_change()
        assert (await reader.next("incidents")).body == {"changes": 1}


async def test_a_broken_stream_goes_on_without_a_hole(browser, board, make_batch, parts):
    board.observe([make_batch([[20, 21, 22]])])
    async with reading(browser) as reader:
        await reader.next("board")
        last = await reader.next("ping")
    board.observe([make_batch([[20, 21, 95]], at_ms=NOW_MS + 1)])
    async with reading(browser, **{"Last-Event-ID": last.id}) as reader:
        while (missed := await reader.next()).name == "ping":
            pass
        assert (missed.name, missed.body["hottest_c"]) == ("pack", 95.0)
    async with reading(browser, **{"Last-Event-ID": missed.id}) as reader:
        assert (await reader.next()).name == "ping", "it is live, and nothing was missed"


@pytest.mark.parametrize(
    "known", ["", "nonsense", "{epoch}-", "{epoch}-999999", "{epoch}-" + "9" * 30, "000000000000-1"]
)
async def test_who_knows_another_process_or_nothing_starts_over(browser, board, make_batch, known):
    board.observe([make_batch([[20, 21, 22]])])
    async with reading(browser) as reader:
        epoch = (await reader.next("board")).id.partition("-")[0]
    async with reading(browser, **{"Last-Event-ID": known.format(epoch=epoch)}) as reader:
        assert (await reader.next()).name == "board"


async def test_a_row_that_left_meanwhile_makes_a_resumed_stream_start_over(browser, board, make_batch):
    board.observe([make_batch([[20, 21, 22]], unit_id="stranger")])
    async with reading(browser) as reader:
        await reader.next("board")
        last = await reader.next("ping")
    board.observe([make_batch([[20, 21, 22]], unit_id=f"stranger-{number}", at_ms=NOW_MS + 1) for number in range(501)])
    async with reading(browser, **{"Last-Event-ID": last.id}) as reader:
        packs = {row["pack_id"] for row in (await reader.next("board")).body["packs"]}
        assert "unit:stranger" not in packs


async def test_blocks_are_shared_and_any_of_them_make_one_gzip_stream(board, make_batch):
    broadcast = stream.Broadcast(board, now_ms=lambda: NOW_MS)
    board.observe([make_batch([[20, 21, 22]])])
    whole = broadcast.whole()
    board.observe([make_batch([[20, 21, 23]], at_ms=NOW_MS + 1)])
    board.snapshot(NOW_MS + 300)
    changes = broadcast.since(whole.version)
    assert broadcast.since(whole.version) is changes
    assert broadcast.whole() is whole, "it is kept for a second"
    for blocks in ([whole, changes], [changes, changes, whole]):
        unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        sent = stream._GZIP_HEAD + b"".join(block.packed for block in blocks)
        assert unpacker.decompress(sent) == b"".join(block.text for block in blocks)


async def test_who_takes_nothing_is_dropped_and_counted(tight_browser, browser, board, make_batch, monkeypatch):
    monkeypatch.setattr(stream, "STALLED_S", 0.5)
    wide = [[20.0] * 1000]
    strangers = [f"stranger-{number}" for number in range(150)]
    async with reading(tight_browser, **UNPACKED):
        step = 0
        async with asyncio.timeout(DEADLINE_S):
            while "packwatch_stream_stalled_total 1.0" not in (await browser.get("/metrics")).text:
                step += 1
                board.observe([make_batch(wide, at_ms=NOW_MS + step, unit_id=name) for name in strangers])
    assert "packwatch_stream_clients 0.0" in (await browser.get("/metrics")).text


async def test_many_changes_between_two_looks_are_one(browser, board, make_batch):
    async with reading(browser) as reader:
        await reader.next("board")
        for step in range(500):
            board.observe([make_batch([[20, 21, step]], at_ms=NOW_MS + step)])
        assert (await reader.next("pack")).body["hottest_c"] == 499.0


async def test_a_ping_comes_when_nothing_else_does(browser, monkeypatch):
    monkeypatch.setattr(stream, "PING_EVERY_S", 0.1)
    async with reading(browser) as reader:
        assert (await reader.next("ping")).body["now_ms"] > NOW_MS


async def test_the_stream_ends_when_the_password_changes(browser, registry, monkeypatch):
    monkeypatch.setattr(stream, "PING_EVERY_S", 0.1)
    async with reading(browser) as reader:
        await reader.next("ping")
        account = registry.account_by_name("ana")
        registry.set_password(account.account_id, await Passwords().hash("a whole new password"))
        await reader.to_the_end()


@pytest.fixture
async def tight_browser(browser):
    """The same session over a connection that takes little in advance."""
    transport = httpx.AsyncHTTPTransport(socket_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)])
    async with httpx.AsyncClient(base_url=browser.base_url, cookies=browser.cookies, transport=transport) as client:
        yield client


async def test_a_client_that_reads_nothing_slows_nobody_and_gets_the_newest_state(
    browser, tight_browser, board, make_batch
):
    """The slow one's socket fills up with changes of about 1 MB; the quick one sees every step meanwhile."""
    wide = [[20.0] * 1000]
    strangers = [f"stranger-{number}" for number in range(150)]
    board.observe([make_batch(wide, unit_id=name) for name in strangers])
    async with reading(tight_browser, **UNPACKED) as slow, reading(browser) as quick:
        await quick.next("board")
        for step in range(1, 11):
            rows = [[20.0 + step] * 1000]
            board.observe([make_batch(rows, at_ms=NOW_MS + step, unit_id=name) for name in strangers])
            began = time.monotonic()
            while (await quick.next("pack")).body["hottest_c"] != 20.0 + step:
                pass
            assert time.monotonic() - began < 5
        newest: dict[str, float] = {
            row["pack_id"]: row["hottest_c"] for row in (await slow.next("board")).body["packs"]
        }
        steps_seen = set()
        while set(newest.values()) != {30.0}:
            row = (await slow.next("pack")).body
            newest[row["pack_id"]] = row["hottest_c"]
            steps_seen.add(row["hottest_c"])
        assert len(steps_seen) < 10, "it skipped what lay between"


async def test_open_streams_do_not_hold_the_server(browser, running):
    """Ctrl-C must be over within 3 s, broker and stores included; the pages take well below one of them."""
    async with reading(browser) as one, reading(browser) as two:
        await one.next("board")
        await two.next("board")
        assert await running.stop() < 1.0
        for reader in (one, two):
            await reader.to_the_end()


async def test_a_client_that_goes_away_leaves_nothing_running(browser, board):
    before = len(asyncio.all_tasks())
    async with reading(browser) as reader:
        await reader.next("board")
    async with asyncio.timeout(DEADLINE_S):
        while len(asyncio.all_tasks()) > before:
            await asyncio.sleep(0.01)
