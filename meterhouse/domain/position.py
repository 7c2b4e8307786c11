"""Positions: how far a log partition is read. An offset is always the next one to read."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Everything of `partition` before `offset`. On the wire `partition:offset`."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


def render_positions(positions: tuple[Position, ...]) -> str:
    """Several positions on the wire, one a partition, joined by commas."""
    return ",".join(str(position) for position in positions)


def parse_positions(text: str) -> tuple[Position, ...]:
    """Read `partition:offset[,partition:offset…]`; ValueError with a reason otherwise."""
    positions: dict[int, Position] = {}
    for part in text.split(","):
        partition, colon, offset = part.strip().partition(":")
        digits = partition.isascii() and partition.isdigit() and offset.isascii() and offset.isdigit()
        if not colon or not digits or len(partition) > 9 or len(offset) > 18:
            raise ValueError("must be partition:offset, several separated by commas")
        one = Position(int(partition), int(offset))
        positions[one.partition] = max(one, positions.get(one.partition, one))
    return tuple(sorted(positions.values()))
