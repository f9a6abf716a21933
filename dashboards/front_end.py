"""The built front end: one page for all of its routes, and hashed assets that browsers may keep for ever."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import Scope

PAGES = re.compile(
    r"|packs/[^/]+|emergency/[^/]+|alerts/[^/]+|review(/[^/]+)?|drivers|people|devices|search|intake|sign-in|claim"
)
"""The paths that the front end routes by itself; it is one page, whatever the path."""
PAGES_APART = {"t": "driver.html", "sheet": "sheet.html", "d": "drill.html"}
"""The driver's page, the emergency sheet and the answer to a drill: small pages of their own, opened by a link."""

_NOT_BUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Packwatch: pages not built</title>
<h1>The pages are not built</h1><p>The service and its API run, but the front end is missing.
Run <code>make build</code> in the project's folder, then reload this page.</p></html>"""


class FrontEnd(StaticFiles):
    """Vite's output. Without a build every page says so in one sentence; the API is not touched by that."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory, check_dir=False)
        self._folder = directory

    async def check_config(self) -> None:
        """A missing folder is answered for each request, so that a build that comes later is served."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """One file of the build, the page, or 404."""
        if path == "api" or path.startswith("api/"):
            raise HTTPException(404, "The API has no such path with this method: see /api/openapi.json.")
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405, "This path only serves pages: use GET.", {"allow": "GET, HEAD"})
        if path in PAGES_APART:
            return self._page_response(PAGES_APART[path])
        if PAGES.fullmatch(path.removeprefix(".")):
            return self._page_response()
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            if "text/html" in Headers(scope=scope).get("accept", ""):
                return self._page_response(
                    status=404
                )  # the page itself says, in its own looks, that there is no such page
            raise HTTPException(404, "There is no such page or file: start at /.") from error
        immutable = path.startswith("assets/")  # Vite puts a hash of the content into these names
        response.headers["cache-control"] = "public, max-age=31536000, immutable" if immutable else "no-cache"
        return response

    def _page_response(self, name: str = "index.html", status: int = 200) -> Response:
        page = self._folder / name
        if not page.is_file():
            return HTMLResponse(_NOT_BUILT, 503)
        return FileResponse(page, status, headers={"cache-control": "no-cache"})
