"""The settings of paging: how people are told."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003  pydantic reads it

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator


class MailSection(BaseModel):
    """The relay for e-mail."""

    model_config = ConfigDict(extra="forbid")

    host: str = ""
    """The SMTP server; empty: no e-mail is sent."""
    port: int = Field(default=587, ge=1, le=65535)
    """Its port."""
    sender: str = "packwatch@localhost"
    """The address that e-mails come from."""
    username: str | None = None
    """The account at a server that asks for one."""
    password: SecretStr | None = None
    """Its password."""
    tls: bool = False
    """TLS from the first byte (port 465); else STARTTLS, where the server offers it."""


class PushSection(BaseModel):
    """Web push."""

    model_config = ConfigDict(extra="forbid")

    contact: str = ""
    """Where push services reach you, as mailto:you@example.org; empty: no web push is sent."""
    key_file: Path | None = None
    """The key by which push services know this installation; left out, vapid.pem among the credentials."""


class TelephonySection(BaseModel):
    """Calls and text messages."""

    model_config = ConfigDict(extra="forbid")

    url: str = ""
    """The provider, or the adapter before one, that takes calls and messages as JSON; empty: nobody is called."""
    token: SecretStr = SecretStr("")
    """What it asks for."""


class DrillsSection(BaseModel):
    """Drills that are sent by themselves."""

    model_config = ConfigDict(extra="forbid")

    enabled: bool = True
    """Whether they are sent."""
    every_days: int = Field(default=28, ge=1, le=31)
    """Days from a person's drill to the next one."""
    from_hour: int = Field(default=9, ge=0, le=23)
    """Who is always on duty gets none before this hour, in the person's own time zone."""
    until_hour: int = Field(default=20, ge=1, le=23)
    """Nor after this one."""
    proof_within_s: float = Field(default=900.0, ge=60, le=86_400)
    """Seconds for a proof, until the next way follows; after the last one the person counts as unreachable."""

    @model_validator(mode="after")
    def _in_order(self) -> DrillsSection:
        if self.from_hour >= self.until_hour:
            raise ValueError("from_hour must be before until_hour")
        return self


class PagingSection(BaseModel):
    """How people are told of a critical alert."""

    model_config = ConfigDict(extra="forbid")

    base_url: str | None = None
    """Where recipients reach the pages, for links and receipts; left out, http:// and the address above."""
    simulated: bool = False
    """Page people about simulated and replayed packs as well; each message then says so."""
    without_registry_after_s: float = Field(default=10.0, ge=3.0, le=600.0)
    """How long the registry may be silent before people are paged from the copy of it in the data directory."""
    mail: MailSection = MailSection()
    """The relay for e-mail."""
    push: PushSection = PushSection()
    """Web push."""
    telephony: TelephonySection = TelephonySection()
    """Calls and text messages."""
    drills: DrillsSection = DrillsSection()
    """Drills that are sent by themselves."""
