"""What a page says, in the recipient's language, with times in the recipient's zone and the zone named. Pure."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Formatter
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, ValidationError

from alerts.paging.channels.contract import Message
from alerts.responses import shipped_responses
from registry.kinds import AlertState, Level
from registry.paging_kinds import PageKind
from registry.receipt_tokens import receipt_token
from registry.response_kinds import Language, Situation, Stage
from telemetry.samples import Provenance

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from registry.outbox import Handover, Story
    from registry.paging_records import Page
    from registry.records import Alert

REASONS_TOLD = 3
"""**Assumed**: as many as a person reads at once."""
ALERTS_TOLD = 10
"""**Assumed**: the rest is counted in the subject, and stands behind the link."""


class TextsError(ValueError):
    """A file of texts that may not be used. One line a mistake."""


class _Texts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    subject: str
    more: str
    pack: str
    reasons: str
    at: str
    link: str
    why: str
    repeat: str
    drill: str
    drill_link: str
    spoken: str
    spoken_drill: str
    simulated: str
    unknown: str
    levels: dict[Level, str]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    en: _Texts
    es: _Texts
    fr: _Texts


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of every language."""

    by_language: Mapping[Language, _Texts]


def parse_texts(content: bytes, source: str) -> Texts:
    """Read texts. Raises TextsError, which names each text that is missing or whose words to fill in are others."""
    try:
        parsed = _File.model_validate(tomllib.loads(content.decode()))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise TextsError(f"{source}: it is no TOML: {error}") from error
    except ValidationError as error:
        lines = (f"{source}: {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise TextsError("\n".join(lines)) from error
    by_language = {language: getattr(parsed, language) for language in Language}
    wrong = []
    for language, texts in by_language.items():
        for name in _Texts.model_fields:
            if name == "levels":
                missing = [level for level in Level if level is not Level.NORMAL and level not in texts.levels]
                wrong += [f"{source}: {language}.levels.{level} is missing" for level in missing]
                continue
            wanted, found = _words(getattr(parsed.en, name)), _words(getattr(texts, name))
            if wanted != found:
                told = ", ".join(sorted(wanted)) or "none"
                wrong.append(
                    f"{source}: {language}.{name} must fill in {told}, not {', '.join(sorted(found)) or 'none'}"
                )
    if wrong:
        raise TextsError("\n".join(wrong))
    return Texts(by_language)


@cache
def shipped_texts() -> Texts:
    """Those that Packwatch brings along."""
    return parse_texts((files("alerts.paging") / "texts.toml").read_bytes(), "texts.toml")


def compose(handover: Handover, texts: Texts, *, base_url: str, receipt_secret: str) -> Message:
    """One message for all pages of a handover: the worst first. `receipt_secret`: for the link that answers a drill."""
    language = _language(handover.recipient.language)
    words = texts.by_language[language]
    worst = max(handover.pages, key=lambda page: page.level.rank)
    story = handover.stories.get(worst.case_id or "")
    link = f"{base_url}/?incident={worst.case_id}" if worst.case_id else base_url
    message_id = handover.pages[0].message_id or ""
    may_repeat = any(page.may_repeat for page in handover.pages)
    if worst.kind is PageKind.DRILL or story is None:
        link = f"{base_url}/d#{language}.{message_id}.{receipt_token(receipt_secret, message_id)}"
        return Message(
            message_id=message_id,
            subject=words.drill,
            body=f"{words.drill}\n{words.drill_link.format(link=link)}",
            spoken=words.spoken_drill,
            language=language,
            level=worst.level,
            link=link,
            may_repeat=may_repeat,
        )
    mark = "" if story.incident.provenance is Provenance.MEASURED else words.simulated
    level = words.levels.get(worst.level, worst.level)
    alerts = _standing(story)
    what = _what(words, story, alerts)
    if len(alerts) > 1 or len(handover.stories) > 1:
        others = sum(len(_standing(each)) for each in handover.stories.values()) - 1
        subject = words.more.format(mark=mark, level=level, what=what, count=others)
    else:
        subject = words.subject.format(mark=mark, level=level, what=what)
    cell = shipped_responses().cell(Stage(worst.level), Situation.PARKED, language)
    zone = _zone(handover.recipient.time_zone)
    lines = [f"{cell.sentence} {cell.action}", ""]
    told = sorted(
        ((each, alert) for each in handover.stories.values() for alert in _standing(each)),
        key=lambda pair: -pair[1].level.rank,
    )
    for each, alert in told[:ALERTS_TOLD]:
        level_of = words.levels.get(alert.level, alert.level)
        lines.append(words.subject.format(mark=mark, level=level_of, what=_pack(words, each, alert)))
        lines.append(words.reasons.format(reasons="; ".join(alert.reasons[:REASONS_TOLD])))
        lines.append(words.at.format(time=zoned(alert.sampled_at, zone)))
    lines += ["", words.why.format(reason=_reason(handover.pages)), words.link.format(link=link)]
    if may_repeat:
        lines.append(words.repeat)
    return Message(
        message_id=message_id,
        subject=subject,
        body="\n".join(lines),
        spoken=words.spoken.format(level=f"{mark}{level}", what=what, action=cell.action),
        language=language,
        level=worst.level,
        link=link,
        may_repeat=may_repeat,
    )


def zoned(instant: datetime, zone: ZoneInfo) -> str:
    """The instant in the zone, with the zone's name: "2026-03-01 06:00:00 CST (America/Chicago)"."""
    return f"{instant.astimezone(zone):%Y-%m-%d %H:%M:%S %Z} ({zone.key})"


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def _language(name: str) -> Language:
    return Language(name) if name in set(Language) else Language.EN


def _standing(story: Story) -> list[Alert]:
    """The worst first; all, where none is open any more."""
    standing = [each for each in story.alerts if each.state is not AlertState.CLOSED] or list(story.alerts)
    return sorted(standing, key=lambda each: -each.level.rank)


def _what(words: _Texts, story: Story, alerts: list[Alert]) -> str:
    return _pack(words, story, alerts[0]) if alerts else story.incident.title


def _pack(words: _Texts, story: Story, alert: Alert) -> str:
    vehicle = ", ".join(each.name for each in story.vehicles) or words.unknown
    return words.pack.format(pack=alert.pack_id or alert.unit_id or "?", vehicle=vehicle)


def _reason(pages: tuple[Page, ...]) -> str:
    return "; ".join(dict.fromkeys(page.reason for page in pages[:REASONS_TOLD]))


def _words(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}
