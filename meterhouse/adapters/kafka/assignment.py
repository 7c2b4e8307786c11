"""Which partitions an aggregator shall work on, agreed among all of them through a consumer group.

The group only shares the work out. Where to go on from and who may write is the catalog's, by claims and
epochs; so two aggregators that both believe a partition is theirs cannot count it twice, and a rebalance
need not stop anybody. aiokafka speaks the classic group protocol with eager rebalancing only: at every change
all members give back all partitions before they hear which are theirs again. Cooperative rebalancing is missing
there (the sticky assignor keeps partitions with their members, but over the eager protocol). So this does
on its own side what cooperative rebalancing is for: it takes the giving back for what it is, a formality, and
tells its caller about a partition only when it really came or went.

Offsets committed to the group show lag monitors how far we are. Nothing here reads them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.structs import TopicPartition

from meterhouse.adapters.kafka.failures import KAFKA_ERRORS
from meterhouse.adapters.kafka.servers import KafkaServers
from meterhouse.domain.errors import LogUnavailable

_NEVER_MS: Final = 2**31 - 1
_HEARTBEATS_A_SESSION: Final = 4

_log = structlog.get_logger("kafka")

Callback = Callable[[frozenset[int]], Awaitable[None]]
