"""What reviews of incidents need of the other rooms, as the settings want it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboards.attachments import AttachmentFiles
from dashboards.ports import ReviewHouse
from packwatch.evidence.making import EvidenceMaker
from packwatch.history import PagesHistory
from packwatch.rerunning import RulesRerunner
from packwatch.stored_samples import StoredSamples

if TYPE_CHECKING:
    from ingest.stores.contract import TelemetryStore
    from packwatch.history import RemoteHistory
    from packwatch.settings import Settings
    from registry.registry import Registry


def review_house(settings: Settings, registry: Registry, source: TelemetryStore | RemoteHistory) -> ReviewHouse:
    """Attachments lie in the data directory; the bundle's key among the credentials."""
    attachments = AttachmentFiles(settings.data_dir / "attachments")
    evidence = EvidenceMaker(
        registry=registry,
        history=PagesHistory(source),
        attachments=attachments,
        time_stamps=settings.time_stamps,
        credentials=settings.data_dir / "credentials",
    )
    rerunner = RulesRerunner(registry, StoredSamples(source))
    return ReviewHouse(attachments=attachments, evidence=evidence, rerunner=rerunner)
