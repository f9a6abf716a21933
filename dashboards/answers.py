"""How answers are written: fast JSON, and one sentence for everything that goes wrong."""

import math
from collections.abc import Sequence

import orjson
import structlog
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from dashboards.guard import SECURITY_HEADERS
from dashboards.models import Problem
from registry.errors import ConflictError, NotFoundError, RefusedError, RegistryError, UnavailableError

PROBLEMS: dict[int | str, dict[str, object]] = {
    401: {"model": Problem, "description": "Nobody is signed in"},
    403: {"model": Problem, "description": "This link, or this person, may not"},
    404: {"model": Problem, "description": "There is no such thing"},
    409: {"model": Problem, "description": "Somebody was faster, or a rule forbids it"},
    410: {"model": Problem, "description": "The link is over"},
    413: {"model": Problem, "description": "It is larger than what is taken"},
    422: {"model": Problem, "description": "The request makes no sense"},
    429: {"model": Problem, "description": "Too many failed tries"},
    503: {"model": Problem, "description": "Not now; try again later"},
}

_STATUS_OF = {NotFoundError: 404, ConflictError: 409, RefusedError: 422, UnavailableError: 503}
_GENERIC = {
    404: "There is no such thing here.",
    405: "This path does not take that method.",
    413: "The request is too large: nothing that is asked for here needs so much.",
}

_log = structlog.get_logger("packwatch.dashboards")


def problems(*statuses: int) -> dict[int | str, dict[str, object]]:
    """The OpenAPI responses for these statuses."""
    return {status: PROBLEMS[status] for status in (401, *statuses)}


def json_answer(body: object, status: int = 200) -> Response:
    """Rows, numpy arrays and plain values as JSON; NaN becomes null."""
    return Response(orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY), status, media_type="application/json")


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    """A refusal in one sentence."""
    answer = json_answer({"detail": detail}, status)
    answer.headers.update(headers or {})
    return answer


def too_many(wait_s: float) -> HTTPException:
    """Refuse a try that came too soon."""
    seconds = math.ceil(wait_s)
    return HTTPException(
        429, f"Too many failed tries: wait {seconds} s, then try again.", {"retry-after": str(seconds)}
    )


def only_known_parameters(request: Request) -> None:
    """Refuse a query that names what the route does not take: a slip of the pen would give another answer than asked.

    As a dependency of a route. Raises HTTPException 422.
    """
    known = [field.alias for field in request.scope["route"].dependant.query_params]
    unknown = [name for name in dict.fromkeys(request.query_params) if name not in known]
    if unknown:
        named = ", ".join(f"`{name[:64]}`" for name in unknown[:8])
        raise HTTPException(422, f"There is no query parameter {named} here; there is {', '.join(known)}.")


def add_error_answers(app: FastAPI, try_again_on: Sequence[type[Exception]]) -> None:
    """Every error of a route becomes a Problem. try_again_on: errors of the history that mean "not now"."""

    async def refused(_request: Request, error: Exception) -> Response:
        status = next((status for kind, status in _STATUS_OF.items() if isinstance(error, kind)), 500)
        if status == 500:
            _log.error("registry_unusable", reason=str(error))
        return problem(status, _sentence(str(error)))

    async def unavailable(_request: Request, error: Exception) -> Response:
        return problem(
            503, _sentence(f"The history cannot be read now, try again later: {error}"), {"retry-after": "5"}
        )

    async def failed(request: Request, _error: Exception) -> Response:
        # Outside of every middleware, so the headers are added here; the server logs the traceback.
        detail = "Something went wrong inside the service; its log says what. Try again."
        _log.error("request_failed", method=request.method, path=request.url.path)
        return problem(500, detail, SECURITY_HEADERS)

    async def http(_request: Request, error: Exception) -> Response:
        if not isinstance(error, StarletteHTTPException):
            raise error
        generic = error.detail == StarletteHTTPException(error.status_code).detail
        detail = _GENERIC.get(error.status_code, error.detail) if generic else error.detail
        return problem(error.status_code, detail, dict(error.headers or {}))

    async def invalid(_request: Request, error: Exception) -> Response:
        if not isinstance(error, RequestValidationError):
            raise error
        return problem(422, "; ".join(_complaint(each) for each in error.errors()) + ".")

    app.add_exception_handler(RegistryError, refused)
    app.add_exception_handler(StarletteHTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, failed)
    for kind in try_again_on:
        app.add_exception_handler(kind, unavailable)


def _complaint(error: dict[str, object]) -> str:
    """One thing that is wrong with a request, without the value: it may be a password."""
    where = error["loc"] if isinstance(error["loc"], tuple) else ()
    name = ".".join(str(part) for part in where[1:]) or "the request's body"
    return f"{name}: {error['msg']}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "!", "?")) else ".")
