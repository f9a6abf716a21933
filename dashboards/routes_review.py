"""The review of an incident: what was found, who signed it, files, re-runs, and what is taken away of it."""

import json
import os
import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, BinaryIO
from uuid import uuid4

from anyio import to_thread
from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.responses import StreamingResponse

from dashboards.acting import hand_of
from dashboards.answers import json_answer, only_known_parameters, problems
from dashboards.attachments import ATTACHMENT_MAX_BYTES, KeptFile
from dashboards.bodies import Version
from dashboards.context import Context, House
from dashboards.parameters import EntryKey, IncidentKey
from dashboards.ports import ReviewHouse
from dashboards.review_models import CauseBody, EntryBody, ReopenBody, RerunBody, Review
from dashboards.rows import to_ms, to_ms_or_none
from dashboards.sessions import Person, reader
from registry.accounts import account_actor
from registry.audit import Actor
from registry.case_files import CaseFile
from registry.errors import RefusedError
from registry.records import Account
from registry.review_records import Attachment, EntryKind, Rerun
from registry.reviews import EntryText, WholeReview
from registry.roles import MAY_RELEASE, Hand, acting_role, releasing_role

router = APIRouter(prefix="/api/incidents/{incident_id}", tags=["review"])

_PIECE_BYTES = 256 * 1024
_AROUND = timedelta(days=1)
_STEP = problems(403, 404, 409, 422)

FileKey = Annotated[str, PathParameter(pattern=r"^[0-9a-f]{64}$")]


@router.get("/review", operation_id="getReview", response_model=Review, responses=problems(404))
def review(incident_id: IncidentKey, account: Person, house: House) -> Response:
    """The review as it stands; one that nobody began is empty."""
    return _told(house.registry.review(incident_id), account, house)


@router.post("/review/cause", operation_id="classifyCause", response_model=Review, responses=_STEP)
def classify(incident_id: IncidentKey, body: CauseBody, account: Person, house: House) -> Response:
    """Say what set it off."""
    hand = _safety(account, house)
    kept = _stepped(
        lambda: house.registry.classify_cause(
            incident_id, hand, version=body.version, cause=body.cause, note=body.note.strip()
        )
    )
    return _told(kept, account, house)


@router.post("/review/entries", operation_id="writeReviewEntry", response_model=Review, responses=_STEP)
def write_entry(incident_id: IncidentKey, body: EntryBody, account: Person, house: House) -> Response:
    """Write something down."""
    return _written(incident_id, uuid4().hex, body, account, house)


@router.post("/review/entries/{entry_id}", operation_id="changeReviewEntry", response_model=Review, responses=_STEP)
def change_entry(
    incident_id: IncidentKey, entry_id: EntryKey, body: EntryBody, account: Person, house: House
) -> Response:
    """Change what was written; what it said stays in the audit log."""
    if body.version is None:
        raise HTTPException(422, "version is missing: which version of the entry is changed?")
    return _written(incident_id, entry_id, body, account, house)


@router.post(
    "/review/entries/{entry_id}/remove", operation_id="removeReviewEntry", response_model=Review, responses=_STEP
)
def remove_entry(
    incident_id: IncidentKey, entry_id: EntryKey, body: Version, account: Person, house: House
) -> Response:
    """Take an entry out; what it said stays in the audit log."""
    hand = _safety(account, house)
    kept = _stepped(lambda: house.registry.remove_entry(incident_id, hand, entry_id, version=body.version))
    return _told(kept, account, house)


@router.post("/review/sign", operation_id="signReview", response_model=Review, responses=_STEP)
def sign(incident_id: IncidentKey, body: Version, account: Person, house: House) -> Response:
    """Sign it as it stands; the second person of safety who does closes it."""
    hand = _safety(account, house)
    kept = _stepped(lambda: house.registry.sign_review(incident_id, hand, version=body.version))
    return _told(kept, account, house)


@router.post("/review/reopen", operation_id="reopenReview", response_model=Review, responses=_STEP)
def reopen(incident_id: IncidentKey, body: ReopenBody, account: Person, house: House) -> Response:
    """Take the signatures off, with a reason."""
    hand = _safety(account, house)
    reason = body.reason.strip()
    kept = _stepped(lambda: house.registry.reopen_review(incident_id, hand, version=body.version, reason=reason))
    return _told(kept, account, house)


@router.post(
    "/attachments",
    operation_id="attachFile",
    response_model=Review,
    responses=problems(403, 404, 409, 413, 422, 503),
    dependencies=[Depends(reader), Depends(only_known_parameters)],
    max_body_size=ATTACHMENT_MAX_BYTES,
)
async def attach(
    incident_id: IncidentKey,
    request: Request,
    account: Person,
    house: House,
    name: Annotated[str, Query(min_length=1, max_length=200, pattern=r"\S")],
) -> Response:
    """Keep the request's body as a file of the incident: at most 100 MiB."""
    hand = hand_of(account, house)
    await to_thread.run_sync(house.registry.review, incident_id)
    kept = await _received(request, _room(house))
    if kept.size == 0:
        raise HTTPException(422, "The file is empty.")
    record = Attachment(
        incident_id=incident_id,
        sha256=kept.sha256,
        name=name,
        media_type=kept.media_type,
        size=kept.size,
        added_by=hand.by,
        added_at=hand.now,
    )
    whole = await to_thread.run_sync(_stepped, lambda: house.registry.attach(record, hand))
    return await to_thread.run_sync(_told, whole, account, house)


@router.get(
    "/attachments/{sha256}",
    operation_id="getAttachment",
    response_class=StreamingResponse,
    responses=problems(404, 503),
    dependencies=[Depends(reader)],
)
def attachment(incident_id: IncidentKey, sha256: FileKey, house: House) -> Response:
    """The file, always to be saved and never shown as a page of ours."""
    found = [each for each in house.registry.review(incident_id).attachments if each.sha256 == sha256]
    file = _room(house).attachments.open(sha256) if found else None
    if file is None:
        raise HTTPException(404, "This incident has no such file.")
    return _download(file, f"{sha256[:16]}-{_safe(found[0].name)}", found[0].media_type)


@router.post("/reruns", operation_id="rerunRules", response_model=Review, responses=problems(403, 404, 409, 422, 503))
async def rerun(incident_id: IncidentKey, body: RerunBody, account: Person, house: House) -> Response:
    """Judge what was recorded by today's rules, or by those that you give; it is kept beside what was."""
    hand = hand_of(account, house)
    room = _room(house)
    if house.exports.locked():
        raise HTTPException(503, "Others are computing: try again in a minute.", {"retry-after": "30"})

    def work() -> WholeReview:
        case = house.registry.case_file(incident_id, hand.now)
        start_ms, end_ms = _span(case, body)
        made = room.rerunner.rerun(case, body.rules, start_ms, end_ms)
        record = Rerun(
            rerun_id=uuid4().hex,
            incident_id=incident_id,
            at=hand.now,
            by=hand.by,
            rules_version=made.rules_version,
            rules_hash=made.rules_hash,
            rules=made.rules,
            from_at=datetime.fromtimestamp(start_ms / 1000, UTC),
            to_at=datetime.fromtimestamp(end_ms / 1000, UTC),
            outcome=made.outcome,
        )
        return house.registry.add_rerun(record, hand)

    async with house.exports:
        whole = await to_thread.run_sync(_stepped, work)
    return await to_thread.run_sync(_told, whole, account, house)


@router.get(
    "/bundle",
    operation_id="getEvidenceBundle",
    response_class=StreamingResponse,
    responses=problems(403, 404, 503),
)
async def bundle(incident_id: IncidentKey, account: Person, house: House) -> Response:
    """The evidence bundle: one zip, signed; `packwatch verify` checks it offline. Not for those who look only."""
    hand_of(account, house)
    return await make_bundle(incident_id, account_actor(account), house)


async def make_bundle(incident_id: str, by: Actor, house: Context) -> Response:
    """The bundle as a download. Raises 503 while others are being made."""
    room = _room(house)
    if house.exports.locked():
        raise HTTPException(503, "Other exports are being written: try again in a minute.", {"retry-after": "30"})

    def work() -> BinaryIO:
        with tempfile.TemporaryDirectory(prefix="packwatch-evidence-") as folder:
            path = Path(folder, "bundle.zip")
            room.evidence.make(incident_id, path, by=by, now=house.now())
            return path.open("rb")

    async with house.exports:
        file = await to_thread.run_sync(work)
    at = house.now().strftime("%Y%m%dT%H%M%SZ")
    return _download(file, f"incident-{incident_id}-{at}.zip", "application/zip")


@router.get(
    "/form-5800-1",
    operation_id="getReportDraft",
    response_class=Response,
    responses=problems(404, 503),
    dependencies=[Depends(reader)],
)
def form(incident_id: IncidentKey, house: House) -> Response:
    """A draft of form DOT F 5800.1 (49 CFR 171.16) with what is known filled in, as PDF."""
    room = _room(house)
    case = house.registry.case_file(incident_id, house.now())
    headers = {"content-disposition": f'attachment; filename="draft-F5800-1-{incident_id}.pdf"'}
    return Response(room.evidence.form(case, house.now()), media_type="application/pdf", headers=headers)


def _room(house: Context) -> ReviewHouse:
    if house.review is None:
        raise HTTPException(503, "This process has no place for files: ask the one that runs `packwatch up`.")
    return house.review


def _safety(account: Account, house: Context) -> Hand:
    """The hand of somebody of safety. Raises 403."""
    hand = hand_of(account, house, releases=True)
    if hand.role not in MAY_RELEASE:
        raise HTTPException(403, f"You are signed in as {account.role}: findings and signatures are safety's.")
    return hand


def _written(incident_id: str, entry_id: str, body: EntryBody, account: Account, house: Context) -> Response:
    anybodys = body.kind is EntryKind.ANNOTATION
    hand = hand_of(account, house) if anybodys else _safety(account, house)
    content = EntryText(
        text=body.text.strip(),
        at=_instant(body.at_ms),
        pack_id=body.pack_id,
        probe=body.probe,
        owner_id=body.owner_id,
        due_at=_instant(body.due_at_ms),
        done=body.done,
    )
    kept = _stepped(
        lambda: house.registry.write_entry(incident_id, hand, entry_id, body.kind, content, version=body.version)
    )
    return _told(kept, account, house)


def _stepped(step: Any) -> WholeReview:
    """What a step left. A step that is not possible now is a conflict, and not a request that makes no sense."""
    try:
        whole: WholeReview = step()
    except RefusedError as error:
        raise HTTPException(409, str(error)) from error
    return whole


async def _received(request: Request, room: ReviewHouse) -> KeptFile:
    """The body, piece by piece, on disk. Raises 413 by the route's limit."""
    incoming = await to_thread.run_sync(room.attachments.incoming)
    try:
        async for piece in request.stream():
            await to_thread.run_sync(incoming.write, piece)
        return await to_thread.run_sync(incoming.keep)
    finally:
        incoming.discard()


def _span(case: CaseFile, body: RerunBody) -> tuple[int, int]:
    told = [event.sampled_at or event.at for event in case.alert_events]
    first = min(told, default=case.start) - _AROUND
    last = max(told, default=case.end) + _AROUND
    start_ms = to_ms(first) if body.from_ms is None else body.from_ms
    end_ms = to_ms(last) if body.to_ms is None else body.to_ms
    if start_ms >= end_ms:
        raise HTTPException(422, "from_ms must be earlier than to_ms.")
    return start_ms, end_ms


def _told(whole: WholeReview, account: Account, house: Context) -> Response:
    kept = whole.review
    names = {each.account_id: each.display_name for each in house.registry.accounts()}
    return json_answer(
        {
            "incident_id": kept.incident_id,
            "state": kept.state,
            "cause": kept.cause,
            "cause_note": kept.cause_note,
            "signed_by": kept.signed_by,
            "signed_by_you": kept.signed_id is not None and kept.signed_id == account.account_id,
            "signed_at_ms": to_ms_or_none(kept.signed_at),
            "countersigned_by": kept.countersigned_by,
            "countersigned_at_ms": to_ms_or_none(kept.countersigned_at),
            "version": kept.version,
            "entries": [
                {
                    "entry_id": each.entry_id,
                    "kind": each.kind,
                    "text": each.text,
                    "at_ms": to_ms_or_none(each.at),
                    "pack_id": each.pack_id,
                    "probe": each.probe,
                    "owner_id": each.owner_id,
                    "owner": names.get(each.owner_id or ""),
                    "due_at_ms": to_ms_or_none(each.due_at),
                    "done_at_ms": to_ms_or_none(each.done_at),
                    "done_by": each.done_by,
                    "written_by": each.written_by,
                    "written_at_ms": to_ms(each.written_at),
                    "version": each.version,
                }
                for each in whole.entries
            ],
            "attachments": [
                {
                    "sha256": each.sha256,
                    "name": each.name,
                    "media_type": each.media_type,
                    "size": each.size,
                    "added_by": each.added_by,
                    "added_at_ms": to_ms(each.added_at),
                }
                for each in whole.attachments
            ],
            "reruns": [
                {
                    "rerun_id": each.rerun_id,
                    "at_ms": to_ms(each.at),
                    "by": each.by,
                    "rules_version": each.rules_version,
                    "rules_hash": each.rules_hash,
                    "from_ms": to_ms(each.from_at),
                    "to_ms": to_ms(each.to_at),
                    "outcome": json.loads(each.outcome),
                }
                for each in whole.reruns
            ],
            "may_write": acting_role(account.role) is not None,
            "may_sign": releasing_role(account.role) is not None,
        }
    )


def _instant(at_ms: int | None) -> datetime | None:
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC)


def _safe(name: str) -> str:
    """A file's name as a header may carry it."""
    return "".join(each if each.isascii() and (each.isalnum() or each in "._-") else "_" for each in name)[-80:]


def _download(file: BinaryIO, name: str, media_type: str) -> StreamingResponse:
    headers = {
        "content-disposition": f'attachment; filename="{name}"',
        "content-length": str(os.fstat(file.fileno()).st_size),
    }
    return StreamingResponse(_pieces(file), media_type=media_type, headers=headers)


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while piece := await to_thread.run_sync(file.read, _PIECE_BYTES):
            yield piece
