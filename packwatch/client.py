"""Asks the running service of a data directory, over its local API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import httpx

from packwatch.credentials import Credentials
from packwatch.data_dir import running_service

if TYPE_CHECKING:
    from pathlib import Path


class ServiceError(RuntimeError):
    """The running service refused, or could not be asked. The message says why."""


class ServiceClient:
    """The local API with this data directory's service token. Use it in a `with`."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._http = httpx.Client(
            base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30, trust_env=False
        )

    @classmethod
    def of(cls, data_dir: Path) -> ServiceClient | None:
        """A client of the whole service that runs on the data directory; None where there is none."""
        service = running_service(data_dir)
        if service is None or not service.whole:
            return None
        return cls(service.url, Credentials(data_dir / "credentials").service_token)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str, **query: object) -> Any:
        """The JSON answer. Raises ServiceError."""
        return self._asked("GET", path, params={name: str(value) for name, value in query.items() if value is not None})

    def post(self, path: str, body: dict[str, object]) -> Any:
        """The JSON answer. Raises ServiceError."""
        return self._asked("POST", path, json=body)

    def download(self, path: str, target: Path, **query: object) -> None:
        """Write the answer's body to a file, piece by piece. Raises ServiceError."""
        params = {name: str(value) for name, value in query.items() if value is not None}
        try:
            with self._http.stream("GET", path, params=params, timeout=None) as answer:
                if answer.is_error:
                    answer.read()
                    raise ServiceError(_reason(answer))
                with target.open("wb") as file:
                    for piece in answer.iter_bytes(1 << 20):
                        file.write(piece)
        except httpx.HTTPError as error:
            raise ServiceError(f"the service at {self.url} did not answer: {error}") from error

    def _asked(self, method: str, path: str, **request: Any) -> Any:
        try:
            answer = self._http.request(method, path, **request)
        except httpx.HTTPError as error:
            raise ServiceError(f"the service at {self.url} did not answer: {error}") from error
        if answer.is_error:
            raise ServiceError(_reason(answer))
        return answer.json()


def _reason(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the service answered {answer.status_code}"
