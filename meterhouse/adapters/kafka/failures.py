"""What a call to aiokafka raises when the cluster cannot be reached or does not do as asked."""

from __future__ import annotations

from typing import Final

from aiokafka.errors import KafkaError

KAFKA_ERRORS: Final = (KafkaError, OSError, TimeoutError)
