"""The times of the exactly-once protocol fit what ClickHouse is sure to remember."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aggregator.protocol import InsertRules
from meterhouse.adapters.clickhouse.tables import TOKEN_WINDOW
from meterhouse.distributed.crew import rules_of
from meterhouse.settings import AggregatorSettings


@pytest.mark.parametrize("partitions", [1, 2, 5, 12, 100, 1000])
@pytest.mark.parametrize("flush_age", [0.05, 0.2, 5.0])
def test_no_token_is_forgotten_before_a_look_is_too_old(partitions: int, flush_age: float) -> None:
    rules = rules_of(AggregatorSettings(flush_age=timedelta(seconds=flush_age)), partitions)
    inserts_a_second = partitions * 2 / flush_age  # of live batches over two months
    assert 2 * rules.look_age * inserts_a_second <= TOKEN_WINDOW * 1.001
    assert rules.young_age == rules.look_age / 2
    assert rules.look_age <= InsertRules().look_age


def test_one_partition_has_the_longest_times() -> None:
    assert rules_of(AggregatorSettings(), 1) == InsertRules(look_age=1800, young_age=900, settle=150)


def test_an_operator_who_knows_the_tables_memory_can_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METERHOUSE_AGGREGATOR_TOKEN_MEMORY", "PT40S")
    assert rules_of(AggregatorSettings(), 12).look_age == 20
