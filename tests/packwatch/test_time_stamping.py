"""Real time stamps by OpenSSL's authority: they hold, or say why not."""

from __future__ import annotations

import pytest

from packwatch.settings import TimeStampsSection
from packwatch.time_stamping import TimeStamper, TimeStampError, check_stamp, request_stamp, stamped_text
from registry.audit import PROGRAM, Action
from registry.registry import Registry

from tsa_stage import time_stamp_authority


@pytest.fixture(scope="module")
def authority():
    with time_stamp_authority() as running:
        yield running


@pytest.fixture
def registry(tmp_path):
    opened = Registry.open(f"sqlite:///{tmp_path}/registry.sqlite")
    yield opened
    opened.close()


def section(authority):
    return TimeStampsSection(url=authority.url, ca_file=authority.ca_file)


def test_a_stamp_holds_over_what_was_stamped_and_nothing_else(authority):
    text = stamped_text(3, "ab" * 32)
    stamp = request_stamp(section(authority), text)
    assert check_stamp(stamp, text, authority.ca_file) == check_stamp(stamp, text, None)
    for other in (authority.ca_file, None):
        with pytest.raises(TimeStampError):
            check_stamp(stamp, stamped_text(3, "ac" * 32), other)


def test_a_stamp_of_somebody_else_does_not_hold(authority):
    text = stamped_text(3, "ab" * 32)
    stamp = request_stamp(section(authority), text)
    with time_stamp_authority() as other, pytest.raises(TimeStampError, match="does not hold"):
        check_stamp(stamp, text, other.ca_file)


def test_one_end_of_the_log_is_stamped_once(authority, registry):
    stamper = TimeStamper(registry, section(authority))
    assert stamper.stamp() is None, "an empty log"
    registry.append_audit([Action(actor=PROGRAM, action="test", subject="a/1")])
    before = authority.stamped
    first, again = stamper.stamp(), stamper.stamp()
    assert (first.sequence, again.id, authority.stamped - before) == (1, first.id, 1)
    check_stamp(first.response, stamped_text(1, registry.audit_end()[1]), authority.ca_file)


def test_without_an_authority_nothing_is_stamped_and_one_that_is_away_is_named(registry):
    registry.append_audit([Action(actor=PROGRAM, action="test", subject="a/1")])
    assert TimeStamper(registry, TimeStampsSection()).stamp() is None
    with pytest.raises(TimeStampError, match=r"127\.0\.0\.1:9/tsr did not answer"):
        TimeStamper(registry, TimeStampsSection(url="http://127.0.0.1:9/tsr")).stamp()
