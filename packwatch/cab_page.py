"""The driver's page on the vehicle's own network, from the gateway's own engine: the same front end, without the cloud.

The vehicle's Wi-Fi is not trusted: nothing but the page itself is answered without the vehicle's token.
"""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Mount, Route

import dashboards
from dashboards.front_end import FrontEnd
from dashboards.guard import SECURITY_HEADERS
from dashboards.motion import Motion, situation_of, step
from dashboards.tunnels import Passage, Tunnels, situation_there
from gateway.driver_state import oldest_evaluation_ms, vehicle_stage
from gateway.siren import SirenState
from gateway.wall_clock import wall_ms
from packwatch.phrases import TablePhrases
from registry.kinds import Level
from registry.response_kinds import Language, Situation, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.types import Scope

    from telemetry.samples import PositionFix

SCHEME = "Trip "
_MAX_BODY_BYTES = 4096
_FILES = ("assets/", "driver.webmanifest", "favicon.svg", "trip-worker.js")
STATIC = Path(dashboards.__file__).parent / "static"
"""The built pages. dashboards.app names them too, and would bring the database along."""


class Cab(Protocol):
    """What the page needs of a gateway: gateway.service.GatewayService."""

    def cab_levels(self) -> Mapping[str, Level]: ...
    def cab_evaluated_ms(self) -> Mapping[str, int]: ...
    def cab_siren(self) -> SirenState: ...
    def cab_simulated(self) -> bool: ...
    def cab_press(self, where: str) -> None: ...


def cab_token(path: Path) -> str:
    """The vehicle's token, made at the first call: 256 bits, in a file that its owner alone reads."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    with os.fdopen(handle, "w", encoding="ascii") as file:
        token = secrets.token_urlsafe(32)
        file.write(token)
    return token


class _DriverFiles(FrontEnd):
    """Of the built pages the driver's alone."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        if path != "t" and not path.startswith(_FILES):
            raise HTTPException(404, "This vehicle serves the driver's page alone: open the link.")
        response = await super().get_response(path, scope)
        response.headers.update(SECURITY_HEADERS)
        return response


class CabPage:
    """The page's state and answers; `app` serves them. Calls come from the gateway's event loop."""

    def __init__(
        self,
        cab: Cab,
        *,
        token: str,
        vehicle_name: str,
        language: Language,
        emergency_number: str | None,
        tunnels: Tunnels | None = None,
    ) -> None:
        self._cab = cab
        self._token = token.encode()
        self._vehicle_name = vehicle_name
        self._language = language
        self._emergency_number = emergency_number
        self._phrases = TablePhrases()
        self._fix: PositionFix | None = None
        self._motion: Motion | None = None
        self._tunnels = tunnels or Tunnels()
        self._passage: Passage | None = None
        self._said: tuple[Situation, int] | None = None
        self._seen: dict[str, Level] = {}
        """Levels below the siren's that the driver acknowledged."""
        self.app = Starlette(
            routes=[
                Route("/api/trip/state", self._state),
                Route("/api/trip/texts", self._texts),
                Route("/api/trip/acknowledge", self._acknowledge, methods=["POST"]),
                Route("/api/trip/situation", self._situation, methods=["POST"]),
                Mount("/", _DriverFiles(STATIC)),
            ]
        )

    def observe_fix(self, fix: PositionFix) -> None:
        """Where the vehicle is."""
        if self._fix is None or fix.fixed_at_ms >= self._fix.fixed_at_ms:
            self._fix, self._motion = fix, step(self._motion, fix)
            (self._passage,) = self._tunnels.passages([fix])

    def state(self, now_ms: int) -> dict[str, Any]:
        """As dashboards' TripState has it."""
        levels, evaluated_ms, siren = self._cab.cab_levels(), self._cab.cab_evaluated_ms(), self._cab.cab_siren()
        said, said_at_ms = self._said or (None, None)
        fix = self._fix
        return {
            "now_ms": now_ms,
            "trip_id": "vehicle",
            "driver_name": "",
            "language": self._language,
            "vehicle_name": self._vehicle_name,
            "custody_signed": False,
            "stage": vehicle_stage(levels, evaluated_ms, siren, now_ms),
            "situation": situation_there(
                situation_of(self._motion, said=said, said_at_ms=said_at_ms, now_ms=now_ms),
                None if self._passage is None else self._passage.at(now_ms),
            ),
            "moving": self._motion is not None and self._motion.moving,
            "evaluated_at_ms": oldest_evaluation_ms(levels, evaluated_ms),
            "simulation": self._cab.cab_simulated(),
            "unacknowledged": [
                {"alert_id": unit_id, "version": level.rank, "level": level}
                for unit_id, level in levels.items()
                if self._waits(unit_id, level, siren)
            ],
            "position": None
            if fix is None
            else {
                "latitude_deg": fix.latitude_deg,
                "longitude_deg": fix.longitude_deg,
                "fixed_at_ms": fix.fixed_at_ms,
            },
            "emergency_number": self._emergency_number,
            "dispatch_number": None,
        }

    def _waits(self, unit_id: str, level: Level, siren: SirenState) -> bool:
        if level.rank >= Level.CRITICAL.rank:
            return siren is SirenState.SOUNDING
        if level.rank < Level.WARNING.rank:
            self._seen.pop(unit_id, None)
            return False
        return self._seen.get(unit_id) is not level

    async def _state(self, request: Request) -> Response:
        self._admit(request)
        return _json(self.state(wall_ms()))

    async def _texts(self, request: Request) -> Response:
        self._admit(request)
        said = self._phrases.said
        texts = {
            str(language): {
                str(stage): {str(where): said(stage, where, language) for where in Situation} for stage in Stage
            }
            for language in Language
        }
        return _json({"version": self._phrases.version, "push_key": None, "texts": texts})

    async def _acknowledge(self, request: Request) -> Response:
        """409 for a level that is not the unit's any more: the driver has seen less."""
        body = await self._body(request)
        unit_id, level = body.get("alert_id"), self._cab.cab_levels().get(str(body.get("alert_id")))
        if not isinstance(unit_id, str) or level is None:
            raise HTTPException(404, "That unit is not on this vehicle.")
        if body.get("version") != level.rank:
            raise HTTPException(409, "It changed meanwhile: look again.")
        if level.rank >= Level.CRITICAL.rank:
            self._cab.cab_press("page")
        else:
            self._seen[unit_id] = level
        return _json({})

    async def _situation(self, request: Request) -> Response:
        try:
            said = Situation(str((await self._body(request)).get("situation")))
        except ValueError as error:
            raise HTTPException(422, "There is no such situation.") from error
        now_ms = wall_ms()
        moving = self._motion is not None and self._motion.moving and now_ms - self._motion.fixed_at_ms <= 60_000
        if said is not Situation.DRIVING and moving:
            raise HTTPException(409, "The vehicle moves.")
        self._said = said, now_ms
        return _json({"situation": said, "said_at_ms": now_ms})

    def _admit(self, request: Request) -> None:
        sent = request.headers.get("authorization", "")
        token = sent[len(SCHEME) :] if sent.startswith(SCHEME) else ""
        if not hmac.compare_digest(token.encode(), self._token):
            raise HTTPException(401, "This link is not this vehicle's.", {"x-packwatch-refusal": "forged"})

    async def _body(self, request: Request) -> dict[str, Any]:
        self._admit(request)
        taken = b""
        async for chunk in request.stream():
            taken += chunk
            if len(taken) > _MAX_BODY_BYTES:
                raise HTTPException(413, "That is too long.")
        try:
            body = orjson.loads(taken)
        except orjson.JSONDecodeError as error:
            raise HTTPException(422, "That is no JSON.") from error
        if not isinstance(body, dict):
            raise HTTPException(422, "That is no JSON object.")
        return body


def _json(content: Any) -> Response:
    return Response(
        orjson.dumps(content), media_type="application/json", headers={"cache-control": "no-store", **SECURITY_HEADERS}
    )
