"""The response table as the pages ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alerts.responses import shipped_responses

if TYPE_CHECKING:
    from registry.response_kinds import Language, Situation, Stage


class TablePhrases:
    """The table that Packwatch brings along."""

    def __init__(self) -> None:
        self._table = shipped_responses()

    @property
    def version(self) -> int:
        return self._table.version

    @property
    def texts_hash(self) -> str:
        return self._table.texts_hash

    def said(self, stage: Stage, situation: Situation, language: Language) -> tuple[str, str]:
        """The sentence and the action."""
        cell = self._table.cell(stage, situation, language)
        return (cell.sentence, cell.action)

    def is_draft(self, language: Language) -> bool:
        return self._table.is_draft(language)
