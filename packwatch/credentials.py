"""Credentials in `<data-dir>/credentials`: broker accounts, session key, service token. Mode 0600, made once."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class AccountRole(StrEnum):
    """What a broker account is for; its topics follow from it."""

    INGEST = "ingest"
    ALERTS = "alerts"
    DASHBOARD = "dashboard"
    GATEWAY = "gateway"
    UNIT = "unit"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAccount:
    """One account at the embedded broker."""

    role: AccountRole
    name: str = ""
    """The gateway's or unit's id; empty for a service."""
    fleet_id: str = ""
    """A gateway's fleet."""
    units: tuple[str, ...] = ()
    """A gateway's own units."""
    password: str = field(repr=False)

    @property
    def username(self) -> str:
        """The name at the broker, for example `gateway-truck-7`."""
        return f"{self.role}-{self.name}" if self.name else str(self.role)

    def publishes(self) -> tuple[str, ...]:
        """MQTT topic filters that the account may publish to, and no others."""
        match self.role:
            case AccountRole.INGEST:
                return ("spBv1.0/STATE/+", "spBv1.0/+/NCMD/+", "spBv1.0/+/DCMD/+/+")
            case AccountRole.ALERTS:
                return (
                    *("packwatch/alerts/+/+", "packwatch/engine/+", "packwatch/pages/+"),
                    *("spBv1.0/+/NCMD/+", "spBv1.0/+/DCMD/+/+"),
                )
            case AccountRole.DASHBOARD:
                return ("spBv1.0/+/NCMD/+",)
            case AccountRole.GATEWAY:
                node = [f"spBv1.0/{self.fleet_id}/{kind}/{self.name}" for kind in ("NBIRTH", "NDATA", "NDEATH")]
                device = [f"spBv1.0/{self.fleet_id}/{kind}/{self.name}/+" for kind in ("DBIRTH", "DDATA", "DDEATH")]
                # Its satellite receiver's positions, and the levels that it tells the cab.
                vehicle = (f"packwatch/positions/{self.name}", f"packwatch/vehicle/{self.name}/alarm/+")
                units = [f"packwatch/units/{unit}/{kind}" for unit in self.units for kind in ("stored", "config")]
                return (*node, *device, *units, *vehicle)
            case AccountRole.UNIT:
                return (f"packwatch/units/{self.name}/frames", f"packwatch/units/{self.name}/clock")

    def subscribes(self) -> tuple[str, ...]:
        """MQTT topic filters that the account may subscribe to, and no others."""
        match self.role:
            case AccountRole.INGEST:
                return ("spBv1.0/#",)
            case AccountRole.ALERTS:
                return ("spBv1.0/#",)
            case AccountRole.DASHBOARD:
                return ("spBv1.0/#", "packwatch/alerts/+/+", "packwatch/engine/+", "packwatch/pages/+")
            case AccountRole.GATEWAY:
                # With all below, since Eclipse Tahu's edge nodes subscribe to `NCMD/{node}/#`.
                commands = [f"spBv1.0/{self.fleet_id}/{kind}/{self.name}/#" for kind in ("NCMD", "DCMD")]
                units = [f"packwatch/units/{unit}/{kind}" for unit in self.units for kind in ("frames", "clock")]
                cab = (f"packwatch/positions/{self.name}", f"packwatch/vehicle/{self.name}/button")
                return (*commands, "spBv1.0/STATE/+", *units, *cab)
            case AccountRole.UNIT:
                return (f"packwatch/units/{self.name}/stored", f"packwatch/units/{self.name}/config")


class Credentials:
    """The secrets of one data directory. Reading them never changes them; an account is made when first asked for."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        """Where they lie."""
        self._accounts_path = folder / "broker.json"
        self._accounts: dict[str, BrokerAccount] = {}
        if self._accounts_path.exists():
            for record in json.loads(self._accounts_path.read_text()):
                fixed = {"role": AccountRole(record["role"]), "units": tuple(record.get("units", ()))}
                account = BrokerAccount(**{**record, **fixed})
                self._accounts[account.username] = account
        self.session_key = self._secret("session-key")
        """Signs the pages' session cookies."""
        self.service_token = self._secret("service-token")
        """Lets this machine's command line ask the running service."""

    def account(self, role: AccountRole, name: str = "", fleet_id: str = "") -> BrokerAccount:
        """The account of that role and name; made and written when new. A gateway that moves keeps its password."""
        known = self._accounts.get(f"{role}-{name}" if name else str(role))
        if known is None:
            known = BrokerAccount(role=role, name=name, fleet_id=fleet_id, password=secrets.token_urlsafe(24))
            self._keep(known)
        elif known.fleet_id != fleet_id:
            known = replace(known, fleet_id=fleet_id)
            self._keep(known)
        return known

    def gateway_account(self, gateway_id: str, fleet_id: str, unit_id: str) -> BrokerAccount:
        """The gateway's account, which may talk to this unit from now on, and no other gateway's may."""
        gateway = self.account(AccountRole.GATEWAY, gateway_id, fleet_id)
        if unit_id in gateway.units:
            return gateway
        gateway = replace(gateway, units=(*gateway.units, unit_id))
        former = [
            replace(each, units=tuple(unit for unit in each.units if unit != unit_id))
            for each in self._accounts.values()
            if unit_id in each.units
        ]
        self._keep(gateway, *former)
        return gateway

    def accounts(self) -> tuple[BrokerAccount, ...]:
        """Every account made so far."""
        return tuple(self._accounts.values())

    def _keep(self, *accounts: BrokerAccount) -> None:
        self._accounts |= {account.username: account for account in accounts}
        records = [asdict(each) for each in self._accounts.values()]
        _write_secret(self._accounts_path, json.dumps(records, indent=1))

    def _secret(self, name: str) -> str:
        path = self.folder / name
        if not path.exists():
            _write_secret(path, secrets.token_urlsafe(32))
        return path.read_text().strip()


def _write_secret(path: Path, text: str) -> None:
    """Write so that a crash leaves the old file or the new one, and nobody else can read either."""
    draft = path.with_name(path.name + ".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
