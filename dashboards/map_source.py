"""Where the map's style or tiles come from, and which hosts a browser may ask for them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class MapSource:
    """A style or tiles of somebody else's, or the base map of the pages."""

    style: str | None = None
    """The address of a MapLibre style, or of raster tiles with {z}, {x} and {y}; None: the base map of the pages."""
    hosts: tuple[str, ...] = ()
    """Further origins that a style names, as https://host."""

    def origins(self) -> tuple[str, ...]:
        """What the content security policy must let through besides the pages' own."""
        if self.style is None:
            return ()
        parts = urlsplit(self.style)
        own = (f"{parts.scheme}://{parts.netloc}",) if parts.netloc else ()
        return (*own, *self.hosts)


BASE_MAP = MapSource()
"""Asks nobody: the base map comes with the pages."""
