"""Brings a unit, its gateway and its pack into the house: registry records and broker accounts, in one step."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dashboards.ports import BrokerLogin, Enrolled
from packwatch.client import ServiceClient
from packwatch.credentials import AccountRole
from packwatch.settings import SettingsError
from registry.registry import Registry
from telemetry.broker import BrokerAccess

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from packwatch.broker import EmbeddedBroker
    from packwatch.credentials import Credentials
    from packwatch.settings import Settings
    from registry.enrolment import Enrolment


@dataclass(frozen=True, slots=True, kw_only=True)
class Logins:
    """How enrolled gateways and units reach their broker, by id."""

    gateways: dict[str, BrokerAccess]
    units: dict[str, BrokerAccess]


class FleetEnroller:
    """Enrols into this process's registry and embedded broker."""

    def __init__(
        self,
        *,
        registry: Registry,
        credentials: Credentials,
        broker: EmbeddedBroker,
        refresh: Sequence[Callable[[], Awaitable[None]]],
    ) -> None:
        """`refresh` lets every copy of the assignments see the registry as it is now."""
        self._registry = registry
        self._credentials = credentials
        self._broker = broker
        self._refresh = refresh
        self._one_at_a_time = asyncio.Lock()

    async def enrol(self, enrolment: Enrolment) -> Enrolled:
        """As dashboards' Enroller: raises RefusedError or ConflictError, with the reason."""
        async with self._one_at_a_time:
            await asyncio.to_thread(self._registry.enrol, enrolment, datetime.now(UTC))
            known = self._credentials.accounts()
            gateway = self._credentials.gateway_account(enrolment.gateway_id, enrolment.fleet_id, enrolment.unit_id)
            unit = self._credentials.account(AccountRole.UNIT, enrolment.unit_id)
            if self._credentials.accounts() != known:
                await self._broker.reload()
            for look_again in self._refresh:
                await look_again()
        access = self._broker.access(gateway)
        return Enrolled(
            fleet_id=enrolment.fleet_id,
            gateway=BrokerLogin(username=gateway.username, password=gateway.password),
            unit=BrokerLogin(username=unit.username, password=unit.password),
            mqtt_host=access.host,
            mqtt_port=access.port,
        )

    async def logins(self, enrolments: Sequence[Enrolment]) -> Logins:
        """Enrol all of them; how they reach the broker."""
        for enrolment in enrolments:
            await self.enrol(enrolment)
        account, access = self._credentials.account, self._broker.access
        return Logins(
            gateways={
                each.gateway_id: access(account(AccountRole.GATEWAY, each.gateway_id, each.fleet_id))
                for each in enrolments
            },
            units={each.unit_id: access(account(AccountRole.UNIT, each.unit_id)) for each in enrolments},
        )


async def enrol_all(settings: Settings, enrolments: Sequence[Enrolment], *, mqtt_given: bool) -> Logins:
    """Enrol from another process: through the data directory's running service, else straight into the registry.

    The second needs a broker that runs already (`mqtt_given`), whose account is taken from the settings. Raises
    ServiceError, RegistryError or SettingsError.
    """
    client = ServiceClient.of(settings.data_dir)
    if client is not None:
        return await asyncio.to_thread(_through_service, client, settings, enrolments, mqtt_given)
    if not mqtt_given:
        raise SettingsError(
            f"no Packwatch runs on the data directory {settings.data_dir}: start `packwatch up`, "
            "or name a broker that runs with --mqtt HOST:PORT"
        )
    return await asyncio.to_thread(_into_registry, settings, enrolments)


def enrol_through_service(client: ServiceClient, enrolment: Enrolment) -> dict[str, Any]:
    """The running service's answer: fleet, gateway and unit accounts, broker address. Raises ServiceError."""
    body = {name: value for name, value in asdict(enrolment).items() if value is not None}
    if enrolment.bound_from is not None:
        body["bound_from"] = enrolment.bound_from.isoformat()
    answer: dict[str, Any] = client.post("/api/local/enrol", body)
    return answer


def _through_service(
    client: ServiceClient,
    settings: Settings,
    enrolments: Sequence[Enrolment],
    mqtt_given: bool,  # noqa: FBT001 - for to_thread
) -> Logins:
    logins = Logins(gateways={}, units={})
    with client:
        answers = [(enrolment, enrol_through_service(client, enrolment)) for enrolment in enrolments]
    for enrolment, answer in answers:
        address = (
            (settings.mqtt.address.host, settings.mqtt.address.port)
            if mqtt_given
            else (answer["mqtt"]["host"], answer["mqtt"]["port"])
        )
        for kind, login, name in (
            (logins.gateways, answer["gateway"], enrolment.gateway_id),
            (logins.units, answer["unit"], enrolment.unit_id),
        ):
            kind[name] = BrokerAccess(
                host=address[0], port=address[1], username=login["username"], password=login["password"]
            )
    return logins


def _into_registry(settings: Settings, enrolments: Sequence[Enrolment]) -> Logins:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    registry = Registry.open(settings.registry_address())
    try:
        for enrolment in enrolments:
            registry.enrol(enrolment, datetime.now(UTC))
    finally:
        registry.close()
    access = settings.mqtt.access()
    return Logins(
        gateways={each.gateway_id: access for each in enrolments}, units={each.unit_id: access for each in enrolments}
    )
