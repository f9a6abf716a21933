"""The audit log: one chain, whoever writes at once; what changes it later is refused, or found and named."""

from __future__ import annotations

import hashlib
import json
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from subprocess import PIPE, Popen
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from registry.audit import PROGRAM, Action, Actor, append
from registry.audit_chain import ChainError, canonical, row_hash, verified
from registry.audit_records import ActorKind
from registry.enrolment import Enrolment
from registry.errors import ConflictError, RefusedError
from registry.kinds import AlertKind, AlertState, Chemistry, Level, PackClass, Role
from registry.records import Alert, AlertEvent, Pack, RulesChange
from registry.registry import Registry
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ANA = Actor(kind=ActorKind.PERSON, id="ana", role="safety")


def action(number: int, now: datetime, **given: Any) -> Action:
    fields = {"actor": ANA, "action": "comment", "subject": f"alert/{number}", "at": now, "detail": {"number": number}}
    return Action(**fields | given)


def actions_of(registry: Registry) -> list[tuple[str, str, str]]:
    return [(row["actor"]["kind"], row["action"], row["subject"].partition("/")[0]) for row in registry.audit_rows()]


def test_a_row_s_hash_is_the_sha_256_of_its_canonical_json(registry: Registry) -> None:
    at = datetime.fromisoformat("2026-03-01T06:00:00.25-06:00")
    detail = {"b": "se\N{LATIN SMALL LETTER N WITH TILDE}al\n", "a": [1, None, True]}
    registry.append_audit([Action(actor=ANA, action="comment", subject="alert/7", at=at, detail=detail)])
    (row,) = registry.audit_rows()
    by_hand = (
        '{"action":"comment","actor":{"id":"ana","kind":"person","role":"safety"},"at":"2026-03-01T12:00:00.250000Z",'
        '"detail":{"a":[1,null,true],"b":"se\N{LATIN SMALL LETTER N WITH TILDE}al\\n"},"previous":"' + "0" * 64 + '",'
        '"sequence":1,"subject":"alert/7"}'
    )
    assert row["hash"] == hashlib.sha256(by_hand.encode()).hexdigest()
    assert registry.audit_end() == (1, row["hash"])
    assert registry.verify_audit() == (1, row["hash"])


def test_rows_are_numbered_without_gaps_and_each_names_the_one_before(registry: Registry, now: datetime) -> None:
    registry.append_audit([action(number, now) for number in range(3)])
    registry.append_audit([])
    registry.append_audit([action(3, now - timedelta(days=1))])  # clocks differ; the order is that of the log
    rows = registry.audit_rows()
    assert [row["sequence"] for row in rows] == [1, 2, 3, 4]
    assert all(row["previous"] == before["hash"] for before, row in pairwise(rows))
    assert registry.audit_rows(after=1, limit=2) == rows[1:3]
    assert registry.audit_rows(subject="alert/3") == rows[3:]


def test_without_a_time_the_database_says_when(registry: Registry, now: datetime) -> None:
    registry.append_audit([action(1, now, at=None)])
    assert registry.audit_rows()[0]["at"] > "2026-03-02"


@pytest.mark.parametrize("bad", [{"a": 1.5}, {"a": 2**53}, {"a": b"x"}, {"\N{LATIN SMALL LETTER E WITH ACUTE}": 1}])
def test_a_detail_that_has_no_canonical_form_is_refused(registry: Registry, now: datetime, bad: dict[str, Any]) -> None:
    with pytest.raises(RefusedError, match="no place in a detail"):
        registry.append_audit([action(1, now), action(2, now, detail=bad)])
    assert registry.audit_end()[0] == 0


def test_text_that_no_database_keeps_is_cleaned_and_a_book_is_refused(registry: Registry, now: datetime) -> None:
    registry.append_audit([action(1, now, detail={"said": "a\x00b\ud800\x01"})])
    assert registry.audit_rows()[0]["detail"] == {"said": "a\N{REPLACEMENT CHARACTER}b?\x01"}
    registry.verify_audit()
    with pytest.raises(RefusedError, match="too many"):
        canonical({"said": "x" * 300_000})


def test_the_action_and_its_change_are_kept_together_or_not_at_all(registry: Registry, now: datetime) -> None:
    pack = Pack(pack_id="p-1", chemistry=Chemistry.NMC, pack_class=PackClass.MID_LIFE)
    registry.add(pack, by=ANA)
    with pytest.raises(ConflictError):
        registry.add(pack, by=ANA)
    with pytest.raises(RefusedError):
        registry._write(
            lambda session: (session.add(pack_like("p-2")), append(session, [action(1, now, detail={"a": 0.5})]))
        )
    assert [each.pack_id for each in registry.packs()] == ["p-1"]
    assert actions_of(registry) == [("person", "add", "pack")]


def pack_like(pack_id: str) -> Pack:
    return Pack(pack_id=pack_id, chemistry=Chemistry.NMC, pack_class=PackClass.MID_LIFE)


WRITER = """
import sys, time
from datetime import UTC, datetime
from registry.audit import Action, Actor
from registry.audit_records import ActorKind
from registry.registry import Registry

registry, me = Registry.open(sys.argv[1]), sys.argv[2]
now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
print("ready", flush=True)
sys.stdin.readline()
for number in range(40):
    actor = Actor(kind=ActorKind.DEVICE, id=me)
    two = [Action(actor=actor, action="shown", subject=f"message/{number}-{part}", at=now) for part in "ab"]
    registry.append_audit(two)
    registry.create_account(name=f"{me}-{number}", display_name=me, now=now)
    time.sleep(0.02)  # SQLite lets who waits in only when nobody is quicker
registry.close()
"""


def test_processes_that_write_at_once_make_one_chain_and_lose_nothing(url: str) -> None:
    registry = Registry.open(url)
    names = ["one", "two", "three"]
    writers = [Popen([sys.executable, "-c", WRITER, url, name], stdin=PIPE, stdout=PIPE, text=True) for name in names]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=120)
        assert writer.returncode == 0
    assert registry.verify_audit()[0] == 3 * 40 * 3
    rows = registry.audit_rows()
    for name in names:
        mine = [row["subject"] for row in rows if row["actor"]["id"] == name]
        assert mine == [f"message/{number}-{part}" for number in range(40) for part in "ab"]
    assert len({row["subject"] for row in rows if row["action"] == "create account"}) == 120
    shown = [row["actor"]["id"] for row in rows if row["action"] == "shown"]
    assert sum(before != after for before, after in pairwise(shown)) > 3  # they did write at once
    registry.close()


def copied(**changed: str) -> str:
    """SQL that puts a copy of row 3 into the log, with these columns changed."""
    names = (
        "sequence",
        "at",
        "actor_kind",
        "actor_id",
        "actor_role",
        "action",
        "subject",
        "detail",
        "previous",
        "hash",
    )
    columns = ", ".join(changed.get(name, name) for name in names)
    return f"INSERT INTO audit_log SELECT {columns} FROM audit_log"  # noqa: S608  the test's own words


REFUSED = [
    "UPDATE audit_log SET actor_id = 'ben' WHERE sequence = 2",
    "UPDATE audit_log SET sequence = 9 WHERE sequence = 3",
    "DELETE FROM audit_log WHERE sequence = 3",
    "DELETE FROM audit_log",
    "UPDATE audit_head SET sequence = 2",
    "UPDATE audit_head SET hash = 'x'",
    "UPDATE audit_head SET id = 2, sequence = 9",
    "DELETE FROM audit_head",
    "INSERT INTO audit_head (id, sequence, hash) VALUES (2, 9, 'x')",
    copied(sequence="4", previous="'x'") + " WHERE sequence = 3",
    copied(sequence="9", previous="hash") + " WHERE sequence = 3",
]
ONLY_HERE = {
    "sqlite": ["INSERT OR REPLACE INTO audit_log SELECT * FROM audit_log WHERE sequence = 2"],
    "postgresql": [
        "TRUNCATE audit_log",
        "TRUNCATE audit_head",
        copied() + " WHERE sequence = 3 ON CONFLICT (sequence) DO UPDATE SET actor_id = 'ben'",
    ],
}


def test_the_database_itself_refuses_every_change(registry: Registry, url: str, now: datetime) -> None:
    registry.append_audit([action(number, now) for number in range(3)])
    before = registry.audit_rows()
    engine = create_engine(url)
    for statement in REFUSED + ONLY_HERE[engine.dialect.name]:
        with pytest.raises(DBAPIError, match=r"audit log (is only ever added to|follows|only moves on)"):
            with engine.begin() as connection:
                connection.execute(text(statement))
    engine.dispose()
    assert registry.audit_rows() == before
    registry.verify_audit()


def unguarded(url: str, *statements: str) -> None:
    """What somebody does who owns the database and takes its triggers away."""
    engine = create_engine(url)
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            names = connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).scalars().all()
            for name in names:
                connection.execute(text(f"DROP TRIGGER {name}"))
        else:
            for table in ("audit_log", "audit_head"):
                connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


@pytest.mark.parametrize(
    ("statement", "row", "says"),
    [
        ("UPDATE audit_log SET detail = '{}' WHERE sequence = 3", 3, "row 3 was altered"),
        ("UPDATE audit_log SET detail = '{' WHERE sequence = 3", 3, "row 3 was altered: it cannot be read"),
        ("UPDATE audit_log SET detail = detail || ' ' WHERE sequence = 3", 3, "row 3 was altered"),
        ("UPDATE audit_log SET actor_kind = 'king' WHERE sequence = 1", 1, "row 1 was altered: it cannot be read"),
        ("UPDATE audit_log SET action = 'x' WHERE sequence = 2", 2, "row 2 was altered: its hash"),
        ("UPDATE audit_log SET at = '2026-03-01 12:00:00.000001+00:00' WHERE sequence = 2", 2, "row 2 was altered"),
        ("DELETE FROM audit_log WHERE sequence = 3", 3, "row 3 was removed: row 4 stands"),
        ("DELETE FROM audit_log WHERE sequence = 1", 1, "row 1 was removed"),
        ("DELETE FROM audit_log WHERE sequence >= 4", 4, "row 4 was removed, and all after it"),
        ("DELETE FROM audit_log", 1, "row 1 was removed"),
        (copied(sequence="6", previous="hash") + " WHERE sequence = 5", 6, "row 6 was added"),
    ],
)
def test_the_first_row_that_is_wrong_is_named(
    registry: Registry, url: str, statement: str, row: int, says: str
) -> None:
    registry.append_audit([action(number, NOW) for number in range(5)])
    unguarded(url, statement)
    with pytest.raises(ChainError, match=says) as caught:
        registry.verify_audit()
    assert caught.value.sequence == row


def test_a_time_that_is_none_is_named(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/registry.sqlite"
    registry = Registry.open(url)
    registry.append_audit([action(number, NOW) for number in range(3)])
    unguarded(url, "UPDATE audit_log SET at = 'noon' WHERE sequence = 2")
    with pytest.raises(ChainError, match="row 2 was altered: it cannot be read"):
        registry.verify_audit()
    registry.close()


def forged(rows: list[dict[str, Any]], at: int, **changed: Any) -> dict[str, Any]:
    """A row with another text and the hash that fits it."""
    row = rows[at] | changed
    return row | {"hash": row_hash(row)}


CHAINS: dict[str, tuple[Callable[[list[dict[str, Any]]], list[Any]], int, str]] = {
    "swapped rows": (lambda rows: [rows[0], rows[2], rows[1], *rows[3:]], 2, "row 2 was reordered: row 3 stands"),
    "a row told twice": (lambda rows: [*rows[:3], rows[2], *rows[3:]], 3, "row 3 was added or reordered"),
    "a row put in front": (lambda rows: [forged(rows, 2, sequence=0), *rows], 0, "row 0 was added"),
    "a row with a hash that fits": (
        lambda rows: [rows[0], forged(rows, 1, action="shelve"), *rows[2:]],
        2,
        "row 2 was alt",
    ),
    "a first row of another log": (
        lambda rows: [forged(rows, 0, previous="1" * 64), *rows[1:]],
        1,
        "row 1 was replaced",
    ),
    "one more member": (lambda rows: [rows[0] | {"note": ""}, *rows[1:]], 1, "row 1 was altered: it is no row"),
    "no row at all": (lambda rows: [*rows[:2], [], *rows[3:]], 3, "row 3 was altered: it is no row"),
    "a number that is a truth": (lambda rows: [rows[0] | {"sequence": True}, *rows[1:]], 1, "row 1 was altered"),
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_breaks_where_it_was_touched(postgres_registry: Registry, now: datetime, name: str) -> None:
    change, row, says = CHAINS[name]
    postgres_registry.append_audit([action(number, now) for number in range(5)])
    with pytest.raises(ChainError, match=says) as caught:
        verified(change(list(postgres_registry.audit_rows())))
    assert caught.value.sequence == row


def test_a_log_that_was_written_anew_is_found_by_a_hash_that_was_noted(
    postgres_registry: Registry, now: datetime
) -> None:
    postgres_registry.append_audit([action(number, now) for number in range(5)])
    rows = list(postgres_registry.audit_rows())
    noted = {3: rows[2]["hash"]}
    assert verified(rows, noted) == (5, rows[4]["hash"])
    anew: list[dict[str, Any]] = []
    for number in range(5):
        previous = anew[-1]["hash"] if anew else "0" * 64
        anew.append(forged(rows, number, previous=previous, **({"action": "shelve"} if number == 1 else {})))
    assert verified(anew) == (5, anew[4]["hash"])
    with pytest.raises(ChainError, match="row 3 is not the one that was noted"):
        verified(anew, noted)
    with pytest.raises(ChainError, match="row 3 was noted, and is missing"):
        verified(rows[:2], noted)


def test_what_people_and_rules_do_to_an_alert_is_kept(registry: Registry, now: datetime) -> None:
    raised = Alert(
        alert_id="a-1", kind=AlertKind.THERMAL, cause="ceiling", fleet_id="west", pack_id="p-1", level=Level.CRITICAL,
        peak_level=Level.CRITICAL, state=AlertState.RAISED, provenance=Provenance.MEASURED, reasons=["83.4 degC"],
        sampled_at=now, raised_at=now,
    )  # fmt: skip
    step = {"alert_id": "a-1", "at": now, "level": Level.CRITICAL}
    registry.raise_alert(raised, AlertEvent(action="raise", to_state=AlertState.RAISED, reasons=["83.4 degC"], **step))
    person = {"from_state": AlertState.RAISED, "to_state": AlertState.ACKNOWLEDGED, "actor": "Ana (ana)"}
    acknowledged = AlertEvent(
        action="acknowledge", comment="driver called", actor_role=Role.DISPATCHER, **person, **step
    )
    registry.change_alert(raised, acknowledged, 1)
    with pytest.raises(ConflictError):
        registry.change_alert(raised, AlertEvent(action="acknowledge", **person, **step), 1)
    first, second = registry.audit_rows(subject="alert/a-1")
    assert first["actor"] == {"kind": "rule", "id": "ceiling", "role": None}
    assert (first["action"], first["detail"]["level"], first["detail"]["reasons"]) == (
        "raise",
        "critical",
        ["83.4 degC"],
    )
    assert second["actor"] == {"kind": "person", "id": "Ana (ana)", "role": "dispatcher"}
    assert (second["action"], second["detail"]["comment"]) == ("acknowledge", "driver called")
    assert (second["detail"]["from"], second["detail"]["to"]) == ("raised", "acknowledged")
    registry.verify_audit()


def test_an_alarm_with_the_longest_reasons_is_never_refused_for_its_audit(registry: Registry, now: datetime) -> None:
    longest = ["\x01" * 500] * 60
    alert = Alert(
        alert_id="a-1", kind=AlertKind.THERMAL, cause="c" * 300, fleet_id="west", level=Level.CRITICAL,
        peak_level=Level.CRITICAL, state=AlertState.RAISED, provenance=Provenance.MEASURED, reasons=longest,
        sampled_at=now, raised_at=now,
    )  # fmt: skip
    event = AlertEvent(alert_id="a-1", at=now, action="a" * 99, to_state=AlertState.RAISED, level=Level.CRITICAL)
    event.reasons, event.comment = longest, "\x01" * 1000
    registry.raise_alert(alert, event)
    assert registry.verify_audit()[0] == 1


def test_accounts_links_and_sessions_are_kept_without_their_secrets(registry: Registry, now: datetime) -> None:
    account = registry.create_account(name="ana", display_name="Ana", now=now)
    registry.add_claim(token_hash="the-token", account_id=account.account_id, expires_at=now + timedelta(days=1))
    claimed = registry.use_claim("the-token", now, name="ana", display_name="Ana Ruiz", password_hash="the-password")
    assert registry.use_claim("the-token", now) is None
    registry.set_password(account.account_id, "another-password")
    registry.note_session(claimed, "sign in", now, "10.0.0.7")
    rows = registry.audit_rows(subject=f"account/{account.account_id}")
    assert [row["action"] for row in rows] == [
        "create account", "make sign-in link", "use sign-in link", "set password", "sign in",
    ]  # fmt: skip
    assert [row["actor"]["kind"] for row in rows] == ["program", "program", "person", "program", "person"]
    assert rows[2]["actor"] == {"kind": "person", "id": account.account_id, "role": "administrator"}
    assert rows[4]["detail"]["address"] == "10.0.0.7"
    registry.note_session(None, "refuse sign-in", now, "10.0.0.8")
    (refused,) = registry.audit_rows(subject="account/unknown")
    assert (refused["actor"]["id"], refused["detail"]) == ("unknown", {"address": "10.0.0.8"})
    told = json.dumps(rows)
    assert not any(secret in told for secret in ("the-token", "the-password", "another-password"))


def test_what_is_enrolled_bound_and_changed_is_kept_once(registry: Registry, now: datetime) -> None:
    enrolment = Enrolment(
        fleet_id="west", gateway_id="gw-1", pack_id="p-1", pack_class=PackClass.MID_LIFE, capacity_ah=50.5,
        unit_id="u-1", temperature_channels=2, voltage_channels=1, simulated=True,
    )  # fmt: skip
    registry.enrol(enrolment, now, by=ANA)
    registry.enrol(enrolment, now, by=ANA)
    registry.add(pack_like("p-2"))
    registry.bind("u-1", "p-2", gateway_id="gw-1", at=now + timedelta(hours=1), by=ANA)
    registry.bind("u-1", "p-2", gateway_id="gw-1", at=now + timedelta(hours=1), by=ANA)
    changed = pack_like("p-2")
    changed.description = "dented"
    registry.save(changed, by=ANA)
    rows = registry.audit_rows()
    assert [(row["action"], row["subject"]) for row in rows] == [
        ("enrol", "unit/u-1"), ("add", "pack/p-2"), ("bind", "unit/u-1"), ("change", "pack/p-2"),
    ]  # fmt: skip
    assert rows[0]["detail"]["capacity_ah"] == "50.5"
    assert rows[1]["actor"]["id"] == PROGRAM.id
    assert rows[2]["detail"] == {"pack": "p-2", "gateway": "gw-1", "from": "2026-03-01T13:00:00.000000Z"}
    assert rows[3]["detail"] == {"description": "dented"}
    registry.verify_audit()


def test_a_change_of_the_rules_is_kept_with_the_hash_of_the_file(registry: Registry, now: datetime) -> None:
    change = RulesChange(
        at=now, actor="ana", source="/data/rules.toml", version=2, content_hash="ab" * 32, changes=["a: 1 -> 2"],
        note="it rains", content=b"version = 2",
    )  # fmt: skip
    assert registry.add_rules_change(change)
    assert not registry.add_rules_change(change)
    (row,) = registry.audit_rows()
    assert (row["actor"]["id"], row["action"], row["subject"]) == ("ana", "change rules", "rules/2")
    assert row["detail"] == {"content_hash": "ab" * 32, "source": "/data/rules.toml", "note": "it rains"}
