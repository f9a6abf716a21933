"""One writer a group: leases that run out by themselves, numbered so that a late holder is known as one."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from registry.database import Database, database_time
from registry.records import Lease

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

ALL_GROUPS = "*"


class Leases(Database):
    """Who may write for which group."""

    def take_lease(
        self, group: str, holder: str, for_s: float, now: datetime | None = None, *, above: int = 0
    ) -> Lease:
        """Take or renew the lease of a group; "*" is all groups at once, and stands in the way of each, as each of it.

        Returns the lease as it stands afterwards: the caller's if `lease.holder == holder`, otherwise the one that is
        in the way until `lease.expires_at`. The fence stays when a holder renews, even late, as long as nobody else
        had the lease meanwhile; it is above `above`, the highest that the caller met elsewhere. `now` None: the
        database's clock, which all its users share.
        """

        def work(session: Session) -> Lease:
            everyone = session.scalars(select(Lease).where(Lease.group == ALL_GROUPS).with_for_update()).one()
            at = now or database_time(session)
            in_the_way = select(Lease).where(Lease.holder != holder, Lease.expires_at > at)
            if group != ALL_GROUPS:
                in_the_way = in_the_way.where(Lease.group.in_((group, ALL_GROUPS)))
            other = session.scalars(in_the_way.order_by(Lease.expires_at.desc())).first()
            if other is not None:
                return other
            lease = everyone if group == ALL_GROUPS else session.get(Lease, group)
            if lease is None:
                lease = Lease(group=group, holder="", fence=0, expires_at=at)
                session.add(lease)
            if lease.holder != holder or lease.fence <= above or _was_interrupted(session, lease):
                lease.fence = 1 + max(above, session.scalar(select(func.max(Lease.fence))) or 0)
                lease.holder = holder
            lease.expires_at = at + timedelta(seconds=for_s)
            return lease

        return self._write(work)

    def release_lease(self, group: str, holder: str, now: datetime | None = None) -> None:
        """Let others have the lease at once. Without it, nothing happens."""

        def work(session: Session) -> None:
            lease = session.scalars(select(Lease).where(Lease.group == group).with_for_update()).one_or_none()
            if lease is not None and lease.holder == holder:
                lease.expires_at = min(lease.expires_at, now or database_time(session))

        self._write(work)

    def leases(self) -> tuple[Lease, ...]:
        """All leases that anyone ever had, those that have run out included."""
        query = select(Lease).where(Lease.fence > 0).order_by(Lease.group)
        return self._read(lambda session: tuple(session.scalars(query)))


def _was_interrupted(session: Session, lease: Lease) -> bool:
    """Whether a lease that covers this one, or that this one covers, was given out since."""
    since = select(func.max(Lease.fence)).where(Lease.holder != lease.holder)
    if lease.group != ALL_GROUPS:
        since = since.where(Lease.group == ALL_GROUPS)
    return (session.scalar(since) or 0) > lease.fence
