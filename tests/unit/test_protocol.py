"""The decisions that bring one block into its table exactly once."""

from __future__ import annotations

from aggregator.protocol import (
    REPLAYED,
    Attempt,
    ClaimAgain,
    Confirm,
    Insert,
    InsertRules,
    Landed,
    Look,
    Wait,
    after_confirm,
    after_error,
    after_insert,
    after_look,
    after_wait,
    decide,
    first_try,
    token_of,
)
from meterhouse.domain.block import Block, IdentityColumns, Table
from meterhouse.ports.counting import Progress

RULES = InsertRules(look_age=100.0, settle=10.0, confirm_age=1000.0)


def _absent(attempt: Attempt, *, asked_at: float) -> Attempt:
    """The block is not in its table, and the partition is still ours."""
    seen = after_look(attempt, landed=False, asked_at=asked_at)
    assert decide(seen, asked_at, RULES) == Confirm()
    return after_confirm(seen, asked_at=asked_at)


def _unexplained() -> Attempt:
    """A replay whose INSERT was answered with success, and yet its mark is absent."""
    absent = _absent(REPLAYED, asked_at=50.0)
    return after_look(after_insert(absent), landed=False, asked_at=51.0)


def test_a_first_try_inserts_without_a_look_and_believes_the_answer() -> None:
    attempt = first_try(planned_at=5.0)
    assert decide(attempt, 6.0, RULES) == Insert("")
    assert decide(after_insert(attempt), 6.0, RULES) == Landed()


def test_a_replay_looks_first_and_leaves_what_is_there() -> None:
    assert decide(REPLAYED, 6.0, RULES) == Look()
    assert decide(after_look(REPLAYED, landed=True, asked_at=6.0), 6.0, RULES) == Landed()


def test_a_replay_s_successful_insert_is_verified() -> None:
    attempt = after_insert(_absent(REPLAYED, asked_at=6.0))
    assert decide(attempt, 7.0, RULES) == Look()
    assert decide(after_look(attempt, landed=True, asked_at=7.0), 7.0, RULES) == Landed()


def test_a_success_without_rows_waits_looks_once_more_and_only_then_takes_another_token() -> None:
    attempt = _unexplained()
    assert decide(attempt, 52.0, RULES) == Wait(10.0)
    attempt = after_wait(attempt)
    assert decide(attempt, 62.0, RULES) == Look()
    assert decide(after_look(attempt, landed=True, asked_at=62.0), 62.0, RULES) == Landed()
    attempt = _absent(attempt, asked_at=62.0)
    assert decide(attempt, 62.0, RULES) == Insert(":retry")
    assert decide(after_insert(attempt), 63.0, RULES) == Look()


def test_a_retry_makes_the_look_no_younger() -> None:
    attempt = _absent(after_wait(_unexplained()), asked_at=149.0)
    assert decide(attempt, 150.0, RULES) == Insert(":retry")
    assert decide(attempt, 150.1, RULES) == ClaimAgain()


def test_an_error_in_a_retry_starts_over_with_the_plain_token() -> None:
    attempt = after_error(_absent(after_wait(_unexplained()), asked_at=62.0))
    assert decide(attempt, 70.0, RULES) == Look()
    assert decide(_absent(attempt, asked_at=70.0), 170.0, RULES) == Insert("")


def test_after_an_error_the_same_token_follows_a_look_and_its_success_is_verified() -> None:
    attempt = after_error(first_try(planned_at=5.0))
    assert decide(attempt, 6.0, RULES) == Look()
    attempt = _absent(attempt, asked_at=6.0)
    assert decide(attempt, 6.0, RULES) == Insert("")
    assert decide(after_insert(attempt), 6.0, RULES) == Look()


def test_nothing_is_inserted_by_what_was_seen_too_long_ago() -> None:
    assert decide(first_try(planned_at=5.0), 105.1, RULES) == ClaimAgain()
    absent = _absent(REPLAYED, asked_at=5.0)
    assert decide(absent, 105.0, RULES) == Insert("")
    assert decide(absent, 105.1, RULES) == ClaimAgain()


def test_a_token_names_log_stream_range_table_and_month() -> None:
    planned = Progress(stream="3", partition=3, epoch=9, next_offset=10, pending_last=19, catalog_version=2)
    block = Block(Table.EVENT_IDS, "3", 202605, 19, IdentityColumns(3))
    assert token_of("lg", planned, block) == "lg:3:10-19:event_ids:202605"
