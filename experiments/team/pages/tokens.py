"""Tokens for programs: made here, shown once, revoked."""

from __future__ import annotations

import datetime as dt

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from experiments.errors import NotAllowed, VerdictError
from experiments.team.pages.access import back_to_list, explain, in_project, page_of, required
from experiments.team.queries.access import Access
from experiments.team.queries.first_runs import first_run
from experiments.team.queries.tokens import (
    project_for_token,
    project_slugs,
    tokens_for,
    tokens_of,
)
from experiments.team.services import tokens
from experiments.web.requests import PersonRequest

LIFETIMES = {"30": "30 days", "90": "90 days", "365": "a year", "": "no end"}
SCOPES = {"read": "read", "write": "read and write", "decide": "read, write and decide"}


class TokenForm(forms.Form):
    """`project` is a slug; empty means every project of the person."""

    name = forms.CharField(max_length=100)
    project = forms.CharField(max_length=100, required=False)
    scope = forms.ChoiceField(choices=list(SCOPES.items()))
    lifetime = forms.ChoiceField(choices=list(LIFETIMES.items()), required=False)

    def scopes(self) -> tuple[str, ...]:
        """The scopes that the choice stands for."""
        every = tuple(SCOPES)
        return every[: every.index(self.cleaned_data["scope"]) + 1]

    def expires_at(self) -> dt.datetime | None:
        """Time at which it ends, None for never."""
        days = self.cleaned_data["lifetime"]
        return timezone.now() + dt.timedelta(days=int(days)) if days else None


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def tokens_page(request: PersonRequest) -> HttpResponse:
    """The list; a POST makes a token and shows its text this once."""
    form = TokenForm(request.POST or None, initial={"scope": "read", "lifetime": "90"})
    secret, chosen = "", ""
    if request.method == "POST" and form.is_valid():
        secret, chosen = _make(request, form), form.cleaned_data["project"]
        form = form if not secret else TokenForm(initial={"scope": "read", "lifetime": "90"})
    slugs = project_slugs(request.user)
    shown = chosen or (slugs[0] if slugs else "")
    context = {
        "form": form,
        "shown": shown,
        "received": first_run(shown) if shown else None,
        "secret": secret,
        "tokens": tokens_of(request.user, page_of(request)),
        "projects": slugs,
        "lifetimes": LIFETIMES,
        "scopes": SCOPES,
    }
    return render(request, "account/tokens.html", context)


def _make(request: PersonRequest, form: TokenForm) -> str:
    """The text of a new token, empty after saying why there is none."""
    slug = form.cleaned_data["project"]
    project = required(project_for_token(request.user, slug)) if slug else None
    try:
        _, secret = tokens.create(
            user=request.user,
            project=project,
            name=form.cleaned_data["name"],
            scopes=form.scopes(),
            expires_at=form.expires_at(),
        )
    except VerdictError as error:
        explain(request, error)
        return ""
    return secret


@never_cache
@require_safe
@in_project
def project_tokens_page(request: HttpRequest, access: Access) -> HttpResponse:
    """Everybody's tokens that open the project."""
    if not access.can_administer:
        raise NotAllowed(f"Only an admin of {access.slug} sees these; your role is {access.role}.")
    context = {
        "project": access,
        "section": "settings",
        "tokens": tokens_for(access, page_of(request)),
    }
    return render(request, "projects/tokens.html", context)


@require_POST
@in_project
def revoke_project_token(request: HttpRequest, access: Access, token: int) -> HttpResponse:
    """Make somebody's token for the project useless at once."""
    revoked = tokens.revoke_in(access=access, token_id=token)
    messages.success(request, f"The token {revoked.name} no longer works.")
    return back_to_list(request, "project_tokens", access.slug)


@require_POST
@login_required
def revoke_token(request: PersonRequest, token: int) -> HttpResponse:
    """Make a token useless at once."""
    try:
        revoked = tokens.revoke(user=request.user, token_id=token)
    except VerdictError as error:
        raise Http404(error.message) from None
    messages.success(request, f"The token {revoked.name} no longer works.")
    return back_to_list(request, "tokens")
