"""Time stamps from outside (RFC 3161) over the end of the audit log.

Who holds the data and the key can rewrite both, but not what an authority elsewhere stamped before.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

import httpx
import structlog
from cryptography import x509
from rfc3161_client import HashAlgorithm, PKIStatus, TimestampRequestBuilder, VerifierBuilder, decode_timestamp_response
from rfc3161_client.errors import VerificationError

from registry.errors import RegistryError
from registry.review_records import TimeStamp

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from rfc3161_client import TimeStampResponse

    from packwatch.settings import TimeStampsSection
    from registry.registry import Registry

_RESPONSE_MAX_BYTES = 64 * 1024
"""What the registry keeps of it; one with its certificates takes about 6 KiB."""
_TIMEOUT_S = 20.0
_AGAIN_AFTER_S = 600.0
"""**Assumed**: after a failure, so that a short outage of the authority costs minutes and not the whole interval."""


class TimeStampError(ValueError):
    """No stamp was got, or one does not say what it should. The message says why."""


def stamped_text(sequence: int, row_hash: str) -> bytes:
    """What is stamped: the end of the audit log as `audit verify` prints it."""
    return f"{sequence}:{row_hash}".encode()


def request_stamp(section: TimeStampsSection, text: bytes) -> bytes:
    """A TimeStampResp (DER) over `text`, checked as far as the settings allow. Blocks. Raises TimeStampError."""
    assert section.url is not None  # noqa: S101 - the caller asks only where there is one
    request = TimestampRequestBuilder().data(text).hash_algorithm(HashAlgorithm.SHA256).build()
    try:
        answer = httpx.post(
            section.url,
            content=request.as_bytes(),
            headers={"Content-Type": "application/timestamp-query"},
            timeout=_TIMEOUT_S,
            trust_env=False,
        ).raise_for_status()
    except httpx.HTTPError as error:
        raise TimeStampError(f"the time-stamp authority at {section.url} did not answer: {error}") from error
    if len(answer.content) > _RESPONSE_MAX_BYTES:
        raise TimeStampError(f"the time-stamp authority at {section.url} answered {len(answer.content)} bytes")
    response = parse_stamp(answer.content)
    if response.tst_info.nonce != request.nonce:
        raise TimeStampError(f"the time-stamp authority at {section.url} answered another request than ours")
    check_stamp(answer.content, text, section.ca_file)
    return answer.content


def parse_stamp(content: bytes) -> TimeStampResponse:
    """A TimeStampResp. Raises TimeStampError for anything else, and for a refusal."""
    try:
        response = decode_timestamp_response(content)
        status = response.status
        _ = response.tst_info.gen_time
    except ValueError as error:
        raise TimeStampError(f"this is no time stamp: {error}") from error
    if status != PKIStatus.GRANTED:
        raise TimeStampError(f"the authority gave no time stamp: status {status}")
    return response


def check_stamp(content: bytes, text: bytes, authorities: Path | None) -> datetime:
    """When `text` was stamped. `authorities`: PEM certificates that are trusted; None: the signature is not checked.

    Raises TimeStampError, OSError.
    """
    response = parse_stamp(content)
    if authorities is None:
        if response.tst_info.message_imprint.message != hashlib.sha256(text).digest():
            raise TimeStampError("the time stamp is over something else")
        return response.tst_info.gen_time
    try:
        roots = x509.load_pem_x509_certificates(authorities.read_bytes())
        VerifierBuilder(roots=list(roots)).build().verify_message(response, text)
    except (VerificationError, ValueError) as error:
        raise TimeStampError(f"the time stamp does not hold: {error}") from error
    return response.tst_info.gen_time


class TimeStamper:
    """Has the audit log's end stamped, on a schedule and when asked."""

    def __init__(self, registry: Registry, section: TimeStampsSection) -> None:
        self._registry = registry
        self._section = section
        self._log = structlog.get_logger("packwatch.time_stamps")

    def stamp(self) -> TimeStamp | None:
        """Stamp the log's end as it is now; None: no authority is set, or the log is empty. Blocks.

        Raises TimeStampError, RegistryError.
        """
        if self._section.url is None:
            return None
        sequence, row_hash = self._registry.audit_end()
        if sequence == 0:
            return None
        newest = self._registry.time_stamps(from_sequence=sequence, limit=1)
        if newest:
            return newest[0]
        content = request_stamp(self._section, stamped_text(sequence, row_hash))
        fields = {"sequence": sequence, "hash": row_hash, "authority": self._section.url[:200], "response": content}
        stamped_at = parse_stamp(content).tst_info.gen_time
        self._registry.add_time_stamp(TimeStamp(stamped_at=stamped_at, **fields))  # type: ignore[arg-type]
        self._log.info("time_stamped", sequence=sequence, stamped_at=stamped_at.isoformat())
        return self._registry.time_stamps(from_sequence=sequence, limit=1)[0]

    async def run(self) -> None:
        """Run until cancelled: a stamp at the start and every so many hours, where an authority is set."""
        while self._section.url is not None:
            pause_s = self._section.every_h * 3600
            try:
                await asyncio.to_thread(self.stamp)
            except (TimeStampError, RegistryError, OSError) as error:
                self._log.warning("time_stamp_failed", reason=str(error))
                pause_s = min(pause_s, _AGAIN_AFTER_S)
            await asyncio.sleep(pause_s)
        await asyncio.Event().wait()
