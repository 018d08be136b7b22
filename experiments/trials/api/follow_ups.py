"""API of follow-ups: proposed files, created only when they are sent back."""

from __future__ import annotations

from typing import Annotated

from ninja import Router
from pydantic import BeforeValidator, Field, StringConstraints

from experiments.design.follow_ups import followups
from experiments.design.follow_ups.followups import Proposal
from experiments.design.queries.experiments import get_experiment
from experiments.design.queries.exploration import explored
from experiments.team.api import auth
from experiments.trials.findings.queries.asked_followup import asked_proposal
from experiments.web.api_schemas import answer, schema_of
from experiments.web.requests import TokenRequest

router = Router(tags=["experiments"])
_PLACE = "/{slug}/experiments/{name}/follow-ups"
_FOLLOW_UP = schema_of(Proposal, differences=list[Annotated[str, BeforeValidator(str)]])
Word = Annotated[str, StringConstraints(max_length=200)]
Id = Annotated[int, Field(ge=0, lt=10**9)]


@router.get(
    _PLACE, response={200: answer("FollowUps", follow_ups=[_FOLLOW_UP]), **auth.READ_ERRORS}
)
def list_follow_ups(request: TokenRequest, slug: str, name: str) -> dict[str, list[Proposal]]:
    """Every follow-up with its file, or with the reason why it must not be made."""
    older = get_experiment(auth.reading(request, slug), name)
    if not older.source:
        return {"follow_ups": []}
    seen = explored(older)
    kinds = followups.FOLLOWUPS
    return {"follow_ups": [followups.propose(older, kind, exploration=seen) for kind in kinds]}


@router.get(_PLACE + "/{kind}", response={200: _FOLLOW_UP, **auth.READ_ERRORS})
def propose_follow_up(
    request: TokenRequest,
    slug: str,
    name: str,
    kind: str,
    hyperparameter: Word = "",
    edge: Word = "",
    finding: Id = 0,
) -> Proposal:
    """One of extend, narrow, exploit, clone and the remedies that findings name.

    `hyperparameter` and `edge` (low, high): which end to extend; `finding`: whose suggested
    limits to take. Send `text` to create it.
    """
    older = get_experiment(auth.reading(request, slug), name)
    asked = {"follow": kind, "hyperparameter": hyperparameter, "edge": edge}
    return asked_proposal(older, asked | {"finding": str(finding)})
