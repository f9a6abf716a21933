"""What can be set: a TOML file, then environment variables, then flags; the later wins."""

from __future__ import annotations

import ipaddress
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from packwatch.paging_settings import PagingSection
from registry.response_kinds import Language
from telemetry.broker import BrokerAccess

CONFIG_VARIABLE = "PACKWATCH_CONFIG"
DEFAULT_CONFIG = Path("packwatch.toml")


class SettingsError(ValueError):
    """A setting that cannot be used. The message names it, its source and what would do."""


class HostPort(BaseModel):
    """An address as HOST:PORT."""

    model_config = ConfigDict(frozen=True)

    host: str
    port: int = Field(ge=0, le=65535)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def is_loopback(self) -> bool:
        """Whether only this machine can reach the address."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def parse_host_port(value: object) -> object:
    """Turn "127.0.0.1:8470", "[::1]:8470" or ":8470" into a HostPort's fields. ValueError shows the form."""
    if not isinstance(value, str):
        return value
    host, separator, port = value.rpartition(":")
    if not separator or not port.isdigit():
        raise ValueError(
            f"{value!r} is not HOST:PORT: write a name or an address, a colon and a number, for example 127.0.0.1:8470"
        )
    return {"host": host.strip("[]") or "127.0.0.1", "port": int(port)}


def parse_folder(value: object) -> object:
    """Refuse an empty name: it would mean the working directory, and hardly be meant."""
    if isinstance(value, str | Path) and str(value) in {"", "."}:
        raise ValueError("an empty name is no folder of its own; name one, for example packwatch-data")
    return value


Address = Annotated[HostPort, NoDecode, BeforeValidator(parse_host_port)]


class MqttSettings(BaseModel):
    """An account at a broker that already runs."""

    model_config = ConfigDict(extra="forbid")

    address: Address = HostPort(host="127.0.0.1", port=18830)
    """The broker, as HOST:PORT."""
    username: str | None = None
    """The account's name; empty for a broker that asks for none."""
    password: SecretStr | None = None
    """The account's password."""
    tls: bool = False
    """Encrypt, and verify the broker against the system's certificate authorities."""

    def access(self) -> BrokerAccess:
        """The account in the form that the rooms take."""
        return BrokerAccess(
            host=self.address.host,
            port=self.address.port,
            username=self.username,
            password=self.password.get_secret_value() if self.password else None,
            tls=self.tls,
        )


class CabSection(BaseModel):
    """The alarm's equipment in the cab, and the driver's page on the vehicle's own network."""

    model_config = ConfigDict(extra="forbid")

    siren_command: list[str] = []
    """Run with `siren`, `chirp` or `off` as its last word: again every 5 s while something is to be heard."""
    siren_line: str | None = None
    """A GPIO line for the siren instead, CHIP:OFFSET; it needs the extra `gpio`."""
    lamp_command: list[str] = []
    """Run with `on` or `off` as its last word."""
    lamp_line: str | None = None
    """A GPIO line for the lamp instead."""
    button_line: str | None = None
    """A GPIO line that the cab's button closes; a message to the vehicle's button topic does the same."""
    loop_command: list[str] = []
    """Tests the siren's loop without a sound; it ends with 0 while the siren would answer."""
    loop_every_s: float = Field(default=600.0, ge=1)
    """Seconds between such tests."""
    battery_h: float | None = Field(default=None, gt=0)
    """Hours that the gateway's full battery is said to last, until a discharge was measured."""
    power_supplies: Path = Path("/sys/class/power_supply")
    """Where the kernel tells of power supplies."""
    page: Address | None = None
    """Where the driver's page is served to the vehicle's own network; left out, it is not."""
    page_url: str | None = None
    """How phones on that network reach it, for the link; left out, http:// and the address above."""
    language: Language = Language.EN
    """Which language the page begins in."""
    emergency_number: str | None = None
    """The number on the shipping paper, for the page."""


class GatewaySection(BaseModel):
    """The gateway of one vehicle (`packwatch gateway`)."""

    model_config = ConfigDict(extra="forbid")

    gateway_id: str = ""
    """The gateway's id; it becomes the Sparkplug edge node id."""
    fleet_id: str = "fleet"
    """The fleet it belongs to; it becomes the Sparkplug group id."""
    units: list[str] | None = None
    """The sensor units that are its own; left out, every unit on the vehicle's broker."""
    local: MqttSettings = MqttSettings()
    """The broker on the vehicle, where sensor units publish."""
    outbox_max_mb: float = Field(default=256, ge=0.25)
    """Most MiB of frames kept on disk while there is no way up; the oldest of normal packs are then thinned first."""
    resend_s: float = Field(default=30, ge=1)
    """What the host has not confirmed for so long is sent again; twice as long the next time, up to 300 s."""
    cab: CabSection = CabSection()
    """Siren, lamp, button, power and page in the cab."""
    wait_for_time_sync: bool = False
    """For a box whose clock is wrong after a power cut: fix times only while the kernel's clock is synchronised."""


class MapSection(BaseModel):
    """What lies under the vehicles on the board's map."""

    model_config = ConfigDict(extra="forbid")

    style: str | None = Field(default=None, pattern=r"^https?://[^\s;,']+$")
    """The address of a MapLibre style, or of raster tiles with {z}, {x} and {y}. None: the base map of the pages, which
    needs no network."""
    hosts: list[Annotated[str, Field(pattern=r"^https?://[^\s;,'/]+$")]] = []
    """Further origins that the style's tiles, glyphs and pictures come from; browsers may ask no others."""


class StoreKind(StrEnum):
    """The kinds of telemetry store."""

    DUCKDB = "duckdb"
    INFLUXDB = "influxdb"


class StoreSection(BaseModel):
    """The time-series store: embedded in one process, or an InfluxDB."""

    model_config = ConfigDict(extra="forbid")

    kind: StoreKind = StoreKind.DUCKDB
    """`duckdb` is a file in the data directory; `influxdb` is a server that runs already."""
    url: str | None = None
    """The InfluxDB, for example http://127.0.0.1:8086."""
    database: str = "packwatch"
    """Its database (InfluxDB 1) or bucket (InfluxDB 2); what holds keep lies in a second one, NAME_kept."""
    username: str | None = None
    """The account at an InfluxDB 1 that asks for one; it must be an administrator's."""
    password: SecretStr | None = None
    """Its password."""
    organisation: str = ""
    """The organisation at an InfluxDB 2."""
    token: SecretStr | None = None
    """The token for an InfluxDB 2: it must read and write buckets and their mappings (DBRP)."""
    threads: int = Field(default=2, ge=1, le=64)
    """DuckDB's worker threads."""
    memory_limit_mb: int = Field(default=192, ge=64)
    """The memory that DuckDB may take, in MB."""
    retention_days: int | None = Field(default=None, ge=1)
    """Samples older than this are deleted, by InfluxDB itself where it is one; left out, everything is kept."""


class TimeStampsSection(BaseModel):
    """Time stamps of the audit log by an authority outside (RFC 3161)."""

    model_config = ConfigDict(extra="forbid")

    url: str | None = None
    """The authority, for example https://freetsa.org/tsr; left out, nothing is stamped."""
    every_h: float = Field(default=24.0, ge=0.1, le=744)
    """Hours between stamps; each evidence bundle gets one of its own."""
    ca_file: Path | None = None
    """Certificates (PEM) that the authority's are checked against when a stamp comes."""


class Settings(BaseSettings):
    """Packwatch's settings. Environment variables begin with PACKWATCH_ and join levels by two underscores."""

    model_config = SettingsConfigDict(env_prefix="PACKWATCH_", env_nested_delimiter="__", extra="forbid")

    data_dir: Annotated[Path, BeforeValidator(parse_folder)] = Path("packwatch-data")
    """Where the embedded stores, the broker's state and the credentials lie."""
    http: Address = HostPort(host="127.0.0.1", port=8470)
    """Where the pages and the API are served."""
    public_hosts: list[str] = []
    """Host names under which browsers may reach the pages, besides loopback and the address above."""
    https: bool = False
    """Browsers reach the pages over TLS only (a proxy in front ends it); the session cookie is never sent without."""
    mqtt: MqttSettings = MqttSettings()
    """The MQTT broker: `up` starts its own at this address, the other commands connect to it."""
    host_id: str = "packwatch"
    """The Sparkplug host id under which ingest announces itself."""
    groups: list[str] = []
    """The fleets (Sparkplug groups) that this ingest or alerts worker takes; empty takes all."""
    registry_url: SecretStr | None = None
    """The registry's database, for example postgresql+psycopg://user:password@host/packwatch; left out, SQLite."""
    history_url: str | None = None
    """For `packwatch dashboard` alone: where `packwatch ingest` serves its embedded store; InfluxDB needs none."""
    history_token: SecretStr | None = None
    """What `packwatch ingest` asks for at that address; left out, the service token of the data directory."""
    rules_file: Path | None = None
    """The rules by which alerts are raised; left out, rules.toml in the data directory, else the shipped rules."""
    snapshot_s: float = Field(default=60.0, ge=1.0, le=3600.0)
    """Seconds between snapshots of what the alert engine has learnt, which lie in the data directory."""
    map: MapSection = MapSection()
    """What lies under the vehicles on the board's map."""
    store: StoreSection = StoreSection()
    """The time-series store."""
    gateway: GatewaySection = GatewaySection()
    """The gateway of one vehicle."""
    paging: PagingSection = PagingSection()
    """How people are told of a critical alert."""
    time_stamps: TimeStampsSection = TimeStampsSection()
    """Time stamps of the audit log by an authority outside."""
    log_format: Literal["auto", "console", "json"] = "auto"
    """One event a line: for people, for machines, or by whether a terminal watches."""
    log_level: Literal["auto", "debug", "info", "warning", "error"] = "auto"
    """The least that is logged; `auto` is warning at a terminal, info elsewhere."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags over environment over file; no other source."""
        del dotenv_settings, file_secret_settings
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, _config_file())

    @classmethod
    def load(cls, **flags: Any) -> Self:
        """Read all sources; flags that are None were not given. Raises SettingsError in one readable line a setting."""
        given = {name: value for name, value in flags.items() if value is not None}
        try:
            return cls(**given)
        except ValidationError as error:
            lines = [
                f"setting {'.'.join(str(part) for part in found['loc'])}: {found['msg'].removeprefix('Value error, ')}"
                for found in error.errors()
            ]
            raise SettingsError("\n".join(lines)) from error
        except ValueError as error:
            raise SettingsError(f"{_config_file()}: {error}") from error

    def registry_address(self) -> str:
        """The registry's SQLAlchemy URL, password included: not for logs."""
        if self.registry_url is not None:
            return self.registry_url.get_secret_value()
        return f"sqlite:///{self.data_dir / 'registry.sqlite'}"

    def base_url(self) -> str:
        """Where people reach the pages."""
        return (self.paging.base_url or f"http://{self.http}").rstrip("/")

    def rules_path(self) -> Path:
        """Where the rules file lies, if there is one."""
        return self.rules_file or self.data_dir / "rules.toml"


def _config_file() -> Path | None:
    named = os.environ.get(CONFIG_VARIABLE)
    if named:
        path = Path(named)
        if not path.is_file():
            raise SettingsError(f"{CONFIG_VARIABLE} names {path}, which is not a file")
        return path
    return DEFAULT_CONFIG if DEFAULT_CONFIG.is_file() else None
