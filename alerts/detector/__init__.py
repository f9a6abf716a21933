"""The detector: from readings to levels, by evidence. Pure numpy over all packs at once but for its states."""

from alerts.detector.evidence import Evidence, evidences_of, gas_name, reason_numbers
from alerts.detector.judging import judge
from alerts.detector.kinds import EvidenceKind, Fault, Grade
from alerts.detector.rows import Judgement, Rows
from alerts.detector.rules import DetectorRules, default_rules
from alerts.detector.states import Columns, DetectorStates, fresh_columns

__all__ = [
    "Columns",
    "DetectorRules",
    "DetectorStates",
    "Evidence",
    "EvidenceKind",
    "Fault",
    "Grade",
    "Judgement",
    "Rows",
    "default_rules",
    "evidences_of",
    "fresh_columns",
    "gas_name",
    "judge",
    "reason_numbers",
]
