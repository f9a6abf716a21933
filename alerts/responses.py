"""The response table: what a driver is told at a stage, in a situation, in a language; and whether it is a draft."""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import dataclass
from datetime import date  # noqa: TC003  pydantic reads it
from functools import cache
from importlib.resources import files
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from alerts.response_rules import broken_rules
from registry.response_kinds import Cell, Language, Situation, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class ResponsesError(ValueError):
    """A response table that may not be used. One line a mistake."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Texts(_Table):
    en: str
    es: str
    fr: str


class _StageRow(_Table):
    sentence: _Texts
    driving: str
    tunnel: str
    parked: str
    sleeping: str
    loading: str
    dropped: str


class _Approval(_Table):
    role: Literal["safety lead", "native speaker"]
    language: Language | None = None
    name: Annotated[str, Field(min_length=1)]
    on: date
    texts: str


class _File(_Table):
    version: Annotated[int, Field(ge=1)]
    approvals: tuple[_Approval, ...]
    stages: dict[Stage, _StageRow]
    actions: dict[str, _Texts]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseTable:
    """Every cell, in every language."""

    version: int
    texts_hash: str
    """SHA-256 over all texts, hexadecimal: what an approval names."""
    approved: frozenset[Language]
    cells: Mapping[tuple[Stage, Situation, Language], Cell]

    def cell(self, stage: Stage, situation: Situation, language: Language) -> Cell:
        """What is said. There is always one."""
        return self.cells[stage, situation, language]

    def is_draft(self, language: Language) -> bool:
        """Whether these texts still wait for a safety lead, or for a native speaker of the language."""
        return language not in self.approved


def parse_responses(content: bytes, source: str) -> ResponseTable:
    """Read a table. Raises ResponsesError, which names every cell that breaks a rule, and the rule."""
    try:
        parsed = _File.model_validate(tomllib.loads(content.decode()))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ResponsesError(f"{source}: it is no TOML: {error}") from error
    except ValidationError as error:
        lines = (f"{source}: {'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ResponsesError("\n".join(lines)) from error
    missing = [f"{source}: stages.{stage} is missing" for stage in Stage if stage not in parsed.stages]
    used = {getattr(row, situation) for row in parsed.stages.values() for situation in Situation}
    missing += [f"{source}: actions.{name} is missing" for name in sorted(used - parsed.actions.keys())]
    missing += [f"{source}: actions.{name} is used nowhere" for name in sorted(parsed.actions.keys() - used)]
    if missing:
        raise ResponsesError("\n".join(missing))
    cells = {
        (stage, situation, language): Cell(
            stage=stage,
            situation=situation,
            language=language,
            sentence=getattr(parsed.stages[stage].sentence, language),
            action=getattr(parsed.actions[getattr(parsed.stages[stage], situation)], language),
        )
        for stage, situation, language in product(Stage, Situation, Language)
    }
    broken = [f"{source}: {'.'.join(key)}: {rule}" for key, cell in cells.items() for rule in broken_rules(cell)]
    if broken:
        raise ResponsesError("\n".join(broken))
    texts_hash = _hash(cells.values())
    return ResponseTable(
        version=parsed.version, texts_hash=texts_hash, approved=_approved(parsed.approvals, texts_hash), cells=cells
    )


@cache
def shipped_responses() -> ResponseTable:
    """The table that Packwatch brings along."""
    return parse_responses((files("alerts") / "responses.toml").read_bytes(), "responses.toml")


def _hash(cells: Iterable[Cell]) -> str:
    told: list[Any] = [[cell.stage, cell.situation, cell.language, cell.sentence, cell.action] for cell in cells]
    return hashlib.sha256(json.dumps(told, ensure_ascii=False).encode()).hexdigest()


def _approved(approvals: Iterable[_Approval], texts_hash: str) -> frozenset[Language]:
    """The languages whose texts, as they are, a safety lead and a native speaker approved."""
    valid = [each for each in approvals if each.texts == texts_hash]
    if not any(each.role == "safety lead" for each in valid):
        return frozenset()
    return frozenset(each.language for each in valid if each.role == "native speaker" and each.language is not None)
