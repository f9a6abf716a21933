"""Which US county a place is in, and its 911 centre's ten-digit number where somebody noted it.

911 reaches the centre of the caller's own county, so a dispatcher far away needs another way in.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass
from datetime import date  # noqa: TC003  pydantic reads it
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

OUTLINES = "us-counties.json"
"""The US Census Bureau's counties as us-atlas packs them (TopoJSON), put there by the build of the pages."""


class CountyNumbersError(ValueError):
    """A file of numbers that may not be used. One line a mistake."""


class _Number(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    fips: Annotated[str, Field(pattern=r"^\d{5}$")]
    number: Annotated[str, Field(pattern=r"^\+1\d{10}$")]
    source: Annotated[str, Field(min_length=1)]
    checked_on: date


class _Numbers(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    county: tuple[_Number, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class County:
    """A county, parish or borough."""

    fips: str
    name: str
    state: str
    number: str | None
    """Its 911 centre's ten-digit line, as E.164; None: not noted."""
    number_checked_on: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outline:
    fips: str
    name: str
    rings_deg: tuple[NDArray[np.float64], ...]
    """Each (n, 2): longitude, latitude. Holes and islands are rings like others."""
    box_deg: tuple[float, float, float, float]
    """West, south, east, north."""


class Counties:
    """The outlines are read when first asked for; without them no county is known."""

    def __init__(self, folder: Path, numbers: Path | None = None) -> None:
        """folder: of the built pages. numbers: a file of 911 centres' numbers. Raises CountyNumbersError."""
        self._path = folder / OUTLINES
        self._numbers = {} if numbers is None or not numbers.exists() else _numbers(numbers)

    def at(self, latitude_deg: float, longitude_deg: float) -> County | None:
        """The county of a place; None outside of all. May block once, while the outlines are read."""
        for outline in self._outlines:
            west, south, east, north = outline.box_deg
            if west <= longitude_deg <= east and south <= latitude_deg <= north:
                crossings = sum(_crossings(ring, longitude_deg, latitude_deg) for ring in outline.rings_deg)
                if crossings % 2:
                    number = self._numbers.get(outline.fips)
                    return County(
                        fips=outline.fips,
                        name=outline.name,
                        state=self._states.get(outline.fips[:2], ""),
                        number=None if number is None else number.number,
                        number_checked_on=None if number is None else number.checked_on.isoformat(),
                    )
        return None

    @cached_property
    def _topology(self) -> dict[str, object]:
        if not self._path.is_file():
            return {}
        topology: dict[str, object] = json.loads(self._path.read_bytes())
        return topology

    @cached_property
    def _states(self) -> dict[str, str]:
        if not self._topology:
            return {}
        states = self._topology["objects"]["states"]["geometries"]  # type: ignore[index]  # TopoJSON's own form
        return {str(state["id"]): str(state["properties"]["name"]) for state in states}

    @cached_property
    def _outlines(self) -> tuple[_Outline, ...]:
        if not self._topology:
            return ()
        topology = self._topology
        scale, shift = (np.asarray(topology["transform"][name]) for name in ("scale", "translate"))  # type: ignore[index]
        arcs = [np.cumsum(np.asarray(arc), axis=0) * scale + shift for arc in topology["arcs"]]  # type: ignore[attr-defined]
        counties = topology["objects"]["counties"]["geometries"]  # type: ignore[index]
        return tuple(_outline(county, arcs) for county in counties if county.get("arcs"))


def _outline(county: dict[str, object], arcs: list[NDArray[np.float64]]) -> _Outline:
    """Arcs are shared among neighbours; a negative number is an arc backwards (TopoJSON, 2.1.4)."""
    polygons: list[list[list[int]]] = county["arcs"] if county["type"] == "MultiPolygon" else [county["arcs"]]  # type: ignore[list-item,assignment]
    rings = tuple(
        np.concatenate([arcs[index] if index >= 0 else arcs[~index][::-1] for index in ring])
        for polygon in polygons
        for ring in polygon
    )
    every = np.concatenate(rings)
    (west, south), (east, north) = every.min(axis=0), every.max(axis=0)
    name = str(county["properties"]["name"])  # type: ignore[index]
    box_deg = (float(west), float(south), float(east), float(north))
    return _Outline(fips=str(county["id"]), name=name, rings_deg=rings, box_deg=box_deg)


def _crossings(ring_deg: NDArray[np.float64], longitude_deg: float, latitude_deg: float) -> int:
    """How many edges of a ring a ray to the east meets: an odd number from inside (even-odd rule)."""
    x, y = ring_deg[:, 0], ring_deg[:, 1]
    x2, y2 = np.roll(x, -1), np.roll(y, -1)
    astride = (y > latitude_deg) != (y2 > latitude_deg)
    with np.errstate(divide="ignore", invalid="ignore"):
        at_x = x + (latitude_deg - y) * (x2 - x) / (y2 - y)
    return int(np.count_nonzero(astride & (longitude_deg < at_x)))


def _numbers(path: Path) -> dict[str, _Number]:
    try:
        parsed = _Numbers.model_validate(tomllib.loads(path.read_text()))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CountyNumbersError(f"{path}: it is no TOML: {error}") from error
    except ValidationError as error:
        lines = (f"{path}: {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise CountyNumbersError("\n".join(lines)) from error
    return {each.fips: each for each in parsed.county}
