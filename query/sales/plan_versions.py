"""Versions of plans (contract 3.9): list them, make one, go back to one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from query.answers import failures, model_answer
from query.backend import Merchant, Ports
from query.fields import Between, PageAsked
from query.route import new_router
from query.sales.plan_lines import PlanLine, version_of
from query.sales.plan_wire import PlanVersionBody, VersionSummaryBody
from query.sales.plans import checked_plan
from query.wire import ListBody, pagination

router = new_router()

_CAMEL = ConfigDict(alias_generator=to_camel)
_ONE: dict[int | str, dict[str, Any]] = {200: {"model": PlanVersionBody, "description": "The version."}}

Number = Annotated[int, Between(1, 1_000_000_000), Path(alias="versionNumber")]


class NewVersionAsked(BaseModel):
    """All the lines of the new version. `basedOnVersionId` refuses it where the default is another by now."""

    model_config = _CAMEL

    prices: Annotated[list[PlanLine], Field(min_length=1, max_length=200)]
    based_on_version_id: Annotated[str, Field(pattern="^pver_[a-zA-Z0-9]+$", max_length=255)] | None = None


class TransitionAsked(BaseModel):
    default: Literal[True]


@router.get("/v0/plans/{id}/versions", operation_id="listPlanVersions", responses=failures(400, 404))
async def page(
    id: str, asked: Annotated[PageAsked, Query()], merchant: Merchant, ports: Ports
) -> ListBody[VersionSummaryBody]:
    """List a plan's versions, newest first."""
    found = await ports.sales.plan_versions.page(merchant, checked_plan(id), asked.limit, asked.offset)
    data = [VersionSummaryBody.summed_up(version) for version in found.items]
    return ListBody(data=data, pagination=pagination(found, asked.limit, asked.offset))


@router.post(
    "/v0/plans/{id}/versions",
    status_code=201,
    operation_id="mintPlanVersion",
    responses={
        **failures(400, 404, 409, 413, 415),
        201: {"model": PlanVersionBody, "description": "The version."},
    },
    response_model=None,
)
async def mint(id: str, body: NewVersionAsked, merchant: Merchant, ports: Ports) -> Response:
    """Make a version of a plan, which is its default from then on."""
    new = version_of(body.prices, ports.clock.now(), body.based_on_version_id)
    return model_answer(
        PlanVersionBody.of(await ports.sales.plan_versions.mint(merchant, checked_plan(id), new)), 201
    )


@router.get(
    "/v0/plans/{id}/versions/{versionNumber}",
    operation_id="getPlanVersion",
    responses={**failures(400, 404), **_ONE},
    response_model=None,
)
async def get(id: str, number: Number, merchant: Merchant, ports: Ports) -> Response:
    """Get a version of a plan with its prices, deleted ones among them."""
    found = await ports.sales.plan_versions.get(merchant, checked_plan(id), number)
    return model_answer(PlanVersionBody.of(found))


@router.patch(
    "/v0/plans/{id}/versions/{versionNumber}",
    operation_id="transitionPlanVersion",
    responses={**failures(400, 404, 409, 413, 415), **_ONE},
    response_model=None,
)
async def transition(
    id: str, number: Number, body: TransitionAsked, merchant: Merchant, ports: Ports
) -> Response:
    """Make a version the plan's default, whether it is older or newer than the one that is."""
    found = await ports.sales.plan_versions.make_default(
        merchant, checked_plan(id), number, ports.clock.now()
    )
    return model_answer(PlanVersionBody.of(found))
