"""Checks a bundle offline: signatures, files, the audit log's part, outside time stamps."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packwatch.bundles import verify_bundle
from packwatch.evidence.chain import LOG, CheckedChain, check_chain

if TYPE_CHECKING:
    from pathlib import Path

    from packwatch.bundles import CheckedBundle


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedEvidence:
    """What holds."""

    bundle: CheckedBundle
    chain: CheckedChain | None
    """None: the bundle is of one pack's samples, and has no part of the log."""


def check_evidence(path: Path, *, pinned: str | None = None, authorities: Path | None = None) -> CheckedEvidence:
    """Check everything that a bundle says of itself. Raises BundleError, which names the first thing that differs.

    `pinned`: the public key that must have signed. `authorities`: PEM certificates of time-stamp authorities that are
    trusted; None: stamps are only checked to be over the right end.
    """
    checked = verify_bundle(path, pinned=pinned)
    with zipfile.ZipFile(path) as bundle:
        chain = check_chain(bundle, authorities) if LOG in checked.files else None
    return CheckedEvidence(bundle=checked, chain=chain)
