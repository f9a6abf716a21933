"""The live board, at once and as a stream."""

from anyio import to_thread
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse

from dashboards.answers import json_answer, problems
from dashboards.context import House
from dashboards.models import Board
from dashboards.sessions import Reader, account_of, reader
from dashboards.stream import EventResponse, board_events
from registry.errors import UnavailableError

router = APIRouter(prefix="/api", tags=["board"])


@router.get(
    "/board",
    operation_id="getBoard",
    response_model=Board,
    responses=problems(),
    dependencies=[Depends(reader)],
)
async def board(house: House) -> Response:
    """Every pack, vehicle and open alert as they are now."""
    return json_answer(house.board.snapshot(house.now_ms()))


@router.get(
    "/stream",
    operation_id="streamBoard",
    response_class=StreamingResponse,
    responses={
        **problems(),
        200: {
            "description": "Events `board`, then `pack`, `alert`, `vehicle`, `incidents`, `intake` and `ping`",
            "content": {"text/event-stream": {}},
        },
    },
)
async def stream(request: Request, viewer: Reader, house: House) -> Response:
    """The board, then what changes of it at most four times a second, and a ping every five seconds.

    With `Last-Event-ID` of this process it goes on after that event, without a hole; with another it starts over.
    """
    session = dict(request.session)

    async def may_read() -> bool:
        if viewer.account is None:
            return True
        try:
            return await to_thread.run_sync(account_of, session, house) is not None
        except UnavailableError:
            return True  # a registry that is away signs nobody out

    events = board_events(
        house.broadcast,
        last_event_id=request.headers.get("last-event-id"),
        shutdown=house.shutdown,
        may_read=may_read,
    )
    packed = "gzip" in request.headers.get("accept-encoding", "")
    return EventResponse(events, house.broadcast, packed=packed)
