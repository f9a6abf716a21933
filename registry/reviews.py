"""Reviews of incidents as records: changed by version, with every text kept in the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import select

from registry import review_steps
from registry.audit import Action, Actor, append
from registry.audit_records import ActorKind
from registry.database import Database
from registry.errors import ConflictError, NotFoundError, RefusedError
from registry.incident_records import Incident
from registry.records import Account
from registry.review_records import Attachment, EntryKind, Rerun, Review, ReviewEntry, TimeStamp
from registry.review_steps import ReviewAction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from sqlalchemy.orm import Session

    from registry.review_records import CauseClass
    from registry.roles import Hand

ENTRIES_MAX = 2_000
"""**Assumed**: entries of one review; more is a slip of a program."""
ATTACHMENTS_MAX = 500
"""**Assumed**: files of one incident."""

_Kept = TypeVar("_Kept", Attachment, Rerun)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryText:
    """What a person writes."""

    text: str
    at: datetime | None = None
    pack_id: str | None = None
    probe: int | None = None
    owner_id: str | None = None
    due_at: datetime | None = None
    done: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeReview:
    """A review and all that belongs to it, of one moment."""

    review: Review
    entries: tuple[ReviewEntry, ...]
    attachments: tuple[Attachment, ...]
    reruns: tuple[Rerun, ...]


class Reviews(Database):
    """The reviews, and the time stamps of the audit log. All raise NotFoundError for an unknown incident."""

    def review(self, incident_id: str) -> WholeReview:
        """An incident's review as it stands; of one that nobody began, version 1 and nothing in it."""
        return self._read(lambda session: whole_review(session, incident_id))

    def classify_cause(
        self, incident_id: str, hand: Hand, *, version: int, cause: CauseClass | None, note: str
    ) -> WholeReview:
        """Say what set it off. Raises ConflictError (another version), RefusedError (it is closed)."""

        def step(_session: Session, review: Review) -> Mapping[str, object]:
            review_steps.change(review)
            before = {"cause_before": review.cause, "note_before": review.cause_note}
            review.cause, review.cause_note = cause, note
            return {"cause": cause, "note": note} | before

        return self._change(incident_id, hand, ReviewAction.CHANGE, step, version=version)

    def write_entry(
        self,
        incident_id: str,
        hand: Hand,
        entry_id: str,
        kind: EntryKind,
        content: EntryText,
        *,
        version: int | None,
    ) -> WholeReview:
        """Add an entry (`version` None), or change one of that version.

        Raises ConflictError (another version; it exists), RefusedError (the review is closed; what is missing).
        """

        def step(session: Session, review: Review) -> Mapping[str, object]:
            review_steps.change(review)
            _check_entry(session, kind, content)
            entry = session.get(ReviewEntry, entry_id)
            detail: dict[str, object] = {"entry": entry_id, "kind": kind, "text": content.text}
            if version is None:
                if entry is not None:
                    raise ConflictError(f"there is an entry {entry_id} already")
                _check_room(session, ReviewEntry, incident_id, ENTRIES_MAX)
                entry = ReviewEntry(
                    entry_id=entry_id,
                    incident_id=incident_id,
                    kind=kind,
                    text="",
                    written_by=hand.by,
                    written_at=hand.now,
                    version=0,
                )
                session.add(entry)
            else:
                entry = _known_entry(entry, review, entry_id, version)
                detail |= {"text_before": entry.text, "written_by_before": entry.written_by}
            _fill(entry, content, hand)
            return detail | {"owner": content.owner_id, "done": content.done, "pack": content.pack_id}

        return self._change(incident_id, hand, ReviewAction.CHANGE, step)

    def remove_entry(self, incident_id: str, hand: Hand, entry_id: str, *, version: int) -> WholeReview:
        """Take an entry out; what it said stays in the audit log. Raises ConflictError, RefusedError."""

        def step(session: Session, review: Review) -> Mapping[str, object]:
            review_steps.change(review)
            entry = _known_entry(session.get(ReviewEntry, entry_id), review, entry_id, version)
            session.delete(entry)
            return {"entry": entry_id, "removed": True, "kind": entry.kind, "text_before": entry.text}

        return self._change(incident_id, hand, ReviewAction.CHANGE, step)

    def attach(self, attachment: Attachment, hand: Hand) -> WholeReview:
        """Note a file; the same file again changes nothing. Raises RefusedError."""
        detail = {"attachment": attachment.sha256, "name": attachment.name, "bytes": attachment.size}
        return self._add(attachment, Attachment, (attachment.incident_id, attachment.sha256), hand, detail)

    def add_rerun(self, rerun: Rerun, hand: Hand) -> WholeReview:
        """Keep a re-run. Raises RefusedError."""
        detail = {"rerun": rerun.rerun_id, "rules": rerun.rules_hash}
        return self._add(rerun, Rerun, rerun.rerun_id, hand, detail)

    def sign_review(self, incident_id: str, hand: Hand, *, version: int) -> WholeReview:
        """Sign as first or second person of safety. Raises ConflictError, RefusedError."""
        taken: list[ReviewAction] = []

        def step(session: Session, review: Review) -> Mapping[str, object]:
            taken[:] = [review_steps.sign(review, hand, whole_review(session, incident_id).entries)]
            return {"signed_version": version, "step": taken[0]}

        return self._change(incident_id, hand, ReviewAction.SIGN, step, version=version)

    def reopen_review(self, incident_id: str, hand: Hand, *, version: int, reason: str) -> WholeReview:
        """Take the signatures off. Raises ConflictError, RefusedError."""

        def step(_session: Session, review: Review) -> Mapping[str, object]:
            if not reason:
                raise RefusedError("the reason is missing")
            before = {"signed_by": review.signed_by, "countersigned_by": review.countersigned_by}
            review_steps.reopen(review)
            return {"reason": reason} | before

        return self._change(incident_id, hand, ReviewAction.REOPEN, step, version=version)

    def add_time_stamp(self, stamp: TimeStamp) -> None:
        """Keep a stamp of the audit log's end."""
        self._write(lambda session: session.add(stamp))

    def time_stamps(self, *, from_sequence: int = 0, limit: int = 100) -> tuple[TimeStamp, ...]:
        """Stamps of rows from that one on, those of the newest rows first."""
        query = (
            select(TimeStamp)
            .where(TimeStamp.sequence >= from_sequence)
            .order_by(TimeStamp.sequence.desc(), TimeStamp.id.desc())
            .limit(limit)
        )
        return self._read(lambda session: tuple(session.scalars(query)))

    def _add(
        self, record: _Kept, kind: type[_Kept], key: str | tuple[str, str], hand: Hand, detail: Mapping[str, object]
    ) -> WholeReview:
        incident_id = record.incident_id

        def step(session: Session, review: Review) -> Mapping[str, object]:
            review_steps.change(review)
            if session.get(kind, key) is None:
                _check_room(session, kind, incident_id, ATTACHMENTS_MAX)
                values = {column.key: getattr(record, column.key) for column in kind.__table__.columns}
                session.add(kind(**values))
            return detail

        return self._change(incident_id, hand, ReviewAction.CHANGE, step)

    def _change(
        self,
        incident_id: str,
        hand: Hand,
        action: ReviewAction,
        step: Callable[[Session, Review], Mapping[str, object]],
        *,
        version: int | None = None,
    ) -> WholeReview:
        def work(session: Session) -> WholeReview:
            if session.get(Incident, incident_id, with_for_update=True) is None:
                raise NotFoundError(f"the registry knows no incident {incident_id!r}")
            review = session.get(Review, incident_id)
            if review is None:
                review = Review(incident_id=incident_id)
                session.add(review)
                session.flush()
            if version is not None and review.version != version:
                raise ConflictError(
                    f"the review is at version {review.version}, not {version}: somebody changed it meanwhile. Nothing "
                    "of yours was kept, look again"
                )
            detail = step(session, review)
            review.version += 1
            person = Actor(kind=ActorKind.PERSON, id=hand.by, role=hand.role)
            told = Action(actor=person, action=action, subject=f"incident/{incident_id}", at=hand.now, detail=detail)
            append(session, [told])
            return whole_review(session, incident_id)

        return self._write(work)


def whole_review(session: Session, incident_id: str) -> WholeReview:
    """All of a review, in the caller's transaction. Raises NotFoundError."""
    if session.get(Incident, incident_id) is None:
        raise NotFoundError(f"the registry knows no incident {incident_id!r}")
    review = session.get(Review, incident_id) or Review(incident_id=incident_id)

    def of(kind: type[ReviewEntry | Attachment | Rerun], *order: object) -> tuple[object, ...]:
        return tuple(session.scalars(select(kind).where(kind.incident_id == incident_id).order_by(*order)))  # type: ignore[arg-type]

    return WholeReview(
        review=review,
        entries=of(ReviewEntry, ReviewEntry.written_at, ReviewEntry.entry_id),  # type: ignore[arg-type]
        attachments=of(Attachment, Attachment.added_at, Attachment.sha256),  # type: ignore[arg-type]
        reruns=of(Rerun, Rerun.at, Rerun.rerun_id),  # type: ignore[arg-type]
    )


def _check_room(session: Session, kind: type[ReviewEntry | Attachment | Rerun], incident_id: str, most: int) -> None:
    if len(session.scalars(select(kind).where(kind.incident_id == incident_id)).all()) >= most:
        raise RefusedError(f"this review holds {most} of them already, the most that are kept")


def _check_entry(session: Session, kind: EntryKind, content: EntryText) -> None:
    if not content.text:
        raise RefusedError("the text is missing")
    if kind is EntryKind.ACTION:
        if content.owner_id is None:
            raise RefusedError("a corrective action needs an owner: choose who does it")
        if session.get(Account, content.owner_id) is None:
            raise NotFoundError(f"there is no account {content.owner_id!r}")
    elif content.owner_id is not None or content.done:
        raise RefusedError(f"only a corrective action has an owner and is done; this is a(n) {kind}")


def _known_entry(entry: ReviewEntry | None, review: Review, entry_id: str, version: int) -> ReviewEntry:
    if entry is None or entry.incident_id != review.incident_id:
        raise NotFoundError(f"this review has no entry {entry_id!r}: somebody may have removed it")
    if entry.version != version:
        raise ConflictError(
            f"{entry.written_by} changed this entry meanwhile (version {entry.version}, not {version}). "
            f"It now says: {entry.text}"
        )
    return entry


def _fill(entry: ReviewEntry, content: EntryText, hand: Hand) -> None:
    entry.text, entry.at, entry.pack_id, entry.probe = content.text, content.at, content.pack_id, content.probe
    entry.owner_id, entry.due_at = content.owner_id, content.due_at
    if not content.done:
        entry.done_at = entry.done_by = None
    elif entry.done_at is None:
        entry.done_at, entry.done_by = hand.now, hand.by
    entry.written_by, entry.written_at = hand.by, hand.now
    entry.version += 1
