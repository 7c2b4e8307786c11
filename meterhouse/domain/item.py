"""Items that charges are filed under, and what other systems call them (contract 3.12)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from meterhouse.domain.instant import Instant


class EntityType(StrEnum):
    """What an external reference may point at."""

    ITEM = "item"
    CUSTOMER = "customer"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalReference:
    """An entity's code in another system, the `provider`.

    Of a merchant's references with one (provider, external id) at most one is primary: the code leads back
    to its entity. Of an entity's codes for one provider at most one is the default, the one to send there.
    """

    id: str
    merchant_id: str
    entity_type: EntityType
    entity_id: str
    provider: str
    external_id: str
    external_label: str | None
    metadata: Mapping[str, object]
    is_primary: bool
    is_default: bool
    created_at: Instant
    updated_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What is asked of a new reference beside being there.

    `designate`: to be the entity's default code for the provider; None makes the first one it.
    `move`: to take the code's claim over from whichever entity has it.
    """

    designate: bool | None = None
    move: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceFilter:
    """Which references: those that have all of what is given."""

    entity_type: EntityType | None = None
    entity_id: str | None = None
    provider: str | None = None
    external_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Something that is sold, as it is known to accounting; of one product, or filed nowhere yet.

    `metadata` is any JSON object, whose numbers are ints and Decimals. An archived item takes no new charges.
    """

    id: str
    merchant_id: str
    product_id: str | None
    name: str
    metadata: Mapping[str, object]
    references: tuple[ExternalReference, ...] = ()
    archived_at: Instant | None = None
    created_at: Instant
    updated_at: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemFilter:
    """Which items: of a product, or with a (provider, external id); archived ones only if it is said.

    Whoever asks by a code finds the archived ones too, the one that claims the code first.
    """

    product_id: str | None = None
    code: tuple[str, str] | None = None
    with_archived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fee:
    """A charge that no usage is counted for; when and how much is what its prices say (contract 3.9)."""

    id: str
    merchant_id: str
    product_id: str
    item_id: str | None
    name: str
    description: str
    created_at: Instant
    updated_at: Instant
