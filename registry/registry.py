"""The registry: all records behind one door, on SQLite or PostgreSQL.

Calls block, and may be made from any thread: an asyncio caller uses `asyncio.to_thread`. Each call is one transaction,
all or nothing. What a call returns is detached: a value, not a view.
"""

from __future__ import annotations

from registry.accounts import Accounts
from registry.alert_log import AlertLog
from registry.audit import AuditLog
from registry.case_files import CaseFiles
from registry.copies import Copies
from registry.devices import Devices
from registry.drills import Drills
from registry.duties import Duties
from registry.incidents import Incidents
from registry.inventory import Inventory
from registry.leases import Leases
from registry.missing import Missing
from registry.outbox import Outbox
from registry.paging import Paging
from registry.quarantine import Quarantine
from registry.reachability import Reachability
from registry.receipts import Receipts
from registry.recipients import Recipients
from registry.reviews import Reviews
from registry.rules_log import RulesLog
from registry.searches import Searches
from registry.shifts import Shifts
from registry.trips import Trips


class Registry(
    Inventory,
    AlertLog,
    Paging,
    Outbox,
    Receipts,
    Recipients,
    Reachability,
    Incidents,
    Quarantine,
    Missing,
    RulesLog,
    Leases,
    Accounts,
    AuditLog,
    Trips,
    Duties,
    Drills,
    Reviews,
    CaseFiles,
    Devices,
    Copies,
    Searches,
    Shifts,
):
    """Opened with `Registry.open(url)`, ended with `close()`; several processes may have the same one open."""
