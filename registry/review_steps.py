"""What may be done to a review, and what follows. Pure: a step changes the record or raises RefusedError."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from registry.errors import RefusedError
from registry.review_records import ReviewState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from registry.review_records import Review, ReviewEntry
    from registry.roles import Hand


class ReviewAction(StrEnum):
    """What a person does to a review."""

    CHANGE = "change review"
    """Anything is written, changed or attached."""
    SIGN = "sign review"
    COUNTERSIGN = "countersign review"
    REOPEN = "reopen review"


MOVES: Mapping[tuple[ReviewState, ReviewAction], ReviewState] = MappingProxyType(
    {
        (ReviewState.OPEN, ReviewAction.CHANGE): ReviewState.OPEN,
        (ReviewState.OPEN, ReviewAction.SIGN): ReviewState.SIGNED,
        (ReviewState.SIGNED, ReviewAction.CHANGE): ReviewState.OPEN,
        (ReviewState.SIGNED, ReviewAction.COUNTERSIGN): ReviewState.CLOSED,
        (ReviewState.SIGNED, ReviewAction.REOPEN): ReviewState.OPEN,
        (ReviewState.CLOSED, ReviewAction.REOPEN): ReviewState.OPEN,
    }
)
"""What is not in it is refused: a closed review is reopened before anything in it changes."""


def change(review: Review) -> None:
    """Whatever changes takes a signature off: nobody has signed what stands there now."""
    _move(review, ReviewAction.CHANGE)


def sign(review: Review, hand: Hand, entries: Sequence[ReviewEntry]) -> ReviewAction:
    """One person of safety signs, then another one. Raises RefusedError when something is missing."""
    first = review.state is not ReviewState.SIGNED
    action = ReviewAction.SIGN if first else ReviewAction.COUNTERSIGN
    if (review.state, action) not in MOVES:
        raise RefusedError("the review is closed and bears both signatures")
    if review.cause is None:
        raise RefusedError("the cause is not classified yet: choose one, or undetermined")
    if not any(entry.kind == "finding" for entry in entries):
        raise RefusedError("there is no finding yet: write down what was found")
    if not first and review.signed_id == hand.account_id:
        raise RefusedError("you signed first: somebody else of safety has to sign second")
    _move(review, action)
    if first:
        review.signed_id, review.signed_by, review.signed_at = hand.account_id, hand.by, hand.now
    else:
        review.countersigned_id, review.countersigned_by, review.countersigned_at = hand.account_id, hand.by, hand.now
    return action


def reopen(review: Review) -> None:
    """Take the signatures off, to change something."""
    _move(review, ReviewAction.REOPEN)


def _move(review: Review, action: ReviewAction) -> None:
    to = MOVES.get((review.state, action))
    if to is None:
        raise RefusedError(f"the review is {review.state}: {action} is not possible now; reopen it first")
    review.state = to
    if to is ReviewState.OPEN:
        review.signed_id = review.signed_by = review.signed_at = None
        review.countersigned_id = review.countersigned_by = review.countersigned_at = None
