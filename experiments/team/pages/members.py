"""Members of a project and invitations to it; a project's settings; a new project."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urljoin

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from experiments.errors import NotAllowed, NotFound, VerdictError
from experiments.team.pages.access import attempted, back_to_list, done, in_project, page_of
from experiments.team.pages.member_forms import (
    AddMemberForm,
    InviteForm,
    NewProjectForm,
    SettingsForm,
    blame,
)
from experiments.team.queries.access import ROLES, Access, members, people_who_may, project_record
from experiments.team.queries.changes import changes_of
from experiments.team.queries.invitations import open_invitations
from experiments.team.services import invitations, projects
from experiments.team.services import members as services
from experiments.web.requests import PersonRequest

Result = TypeVar("Result")

MAY = {
    "viewer": "read everything",
    "editor": "also create and run experiments, repeat over seeds",
    "approver": "also decide",
    "admin": "also manage members, settings, webhooks and deletion",
}
REVIEWS = {
    "none": "none: an approver decides alone",
    "overrides": "decisions against the verdict, or an adopt while it is undecided",
    "adopts": "those, and every adopt",
}


@never_cache
@require_safe
@in_project
def members_page(request: HttpRequest, access: Access) -> HttpResponse:
    """Members of the project and their roles. Admins change them here."""
    return _members(request, access)


def _members(
    request: HttpRequest,
    access: Access,
    *,
    add: forms.Form | None = None,
    invite: forms.Form | None = None,
) -> HttpResponse:
    text = request.GET.get("q", "").strip()[:200]
    invited = None
    if access.can_administer:
        invited = open_invitations(access, page_of(request, "invited"))
    context = {
        "project": access,
        "section": "members",
        "members": members(access.project_id, page_of(request), text),
        "text": text,
        "admins": people_who_may(access.project_id, "admin"),
        "roles": [str(role) for role in ROLES],
        "may": MAY,
        "add": add or AddMemberForm(initial={"role": "viewer"}),
        "invite": invite or InviteForm(initial={"role": "viewer"}),
        "mails": bool(settings.EMAIL_HOST),
        "invitations": invited,
        "links": {invitation.id: _link(invitation.id) for invitation in invited.rows}
        if invited
        else {},
    }
    refused = bool((add and add.errors) or (invite and invite.errors))
    return render(request, "projects/members.html", context, status=400 if refused else 200)


def _link(invitation_id: int) -> str:
    """Made of the configured address, never of what a request calls this server."""
    path = reverse("invitation", args=[invitations.token_of(invitation_id)])
    return urljoin(settings.PUBLIC_URL, path)


def _try(form: forms.Form, call: Callable[[dict[str, Any]], Result]) -> Result | None:
    """The result of a service; None after putting at the fields what was wrong."""
    if not form.is_valid():
        return None
    try:
        return call(form.cleaned_data)
    except (NotFound, NotAllowed):
        raise
    except VerdictError as error:
        blame(form, error.problems, error.message)
        return None


@require_POST
@in_project
def add_member(request: HttpRequest, access: Access) -> HttpResponse:
    """Somebody who has an account becomes a member."""
    _admins_only(access)
    form = AddMemberForm(request.POST)
    made = _try(
        form,
        lambda cleaned: services.add(
            access=access,
            username=cleaned["username"],
            role=cleaned["role"],
        ),
    )
    if made is None:
        return _members(request, access, add=form)
    messages.success(request, f"{made.user.get_username()} is a member now, as {made.role}.")
    return back_to_list(request, "members", access.slug)


@require_POST
@in_project
def invite_member(request: HttpRequest, access: Access) -> HttpResponse:
    """A link that makes whoever follows it a member, once."""
    _admins_only(access)
    form = InviteForm(request.POST)
    made = _try(
        form,
        lambda cleaned: invitations.create(
            access=access,
            role=cleaned["role"],
            email=cleaned["email"],
        ),
    )
    if made is None:
        return _members(request, access, invite=form)
    sent = invitations.mail(invitation=made, link=_link(made.pk))
    messages.success(
        request,
        f"Mailed to {made.email}; the link is shown below as well."
        if sent
        else "Copy the invitation link below and send it.",
    )
    return back_to_list(request, "members", access.slug)


@require_POST
@in_project
def withdraw_invitation(request: HttpRequest, access: Access, invitation: int) -> HttpResponse:
    """The link works no longer."""
    invitations.withdraw(
        access=access,
        invitation_id=invitation,
    )
    messages.success(request, "The invitation is withdrawn; its link no longer works.")
    return back_to_list(request, "members", access.slug)


@require_POST
@in_project
def change_member(request: HttpRequest, access: Access) -> HttpResponse:
    """Another role for a member."""
    _admins_only(access)
    made = attempted(
        request,
        lambda: services.change_role(
            access=access,
            username=request.POST.get("username", ""),
            role=request.POST.get("role", ""),
        ),
    )
    if made is not None:
        messages.success(request, f"{made.user.get_username()} is {made.role} now.")
    return back_to_list(request, "members", access.slug)


@require_POST
@in_project
def remove_member(request: HttpRequest, access: Access) -> HttpResponse:
    """The person sees the project no longer; what they recorded stays."""
    _admins_only(access)
    name = request.POST.get("username", "")
    gone = done(
        request,
        lambda: services.remove(access=access, username=name),
        f"{name} is no longer a member.",
    )
    if gone and name == access.username and not access.user.is_superuser:
        return redirect("projects")
    return back_to_list(request, "members", access.slug)


def _admins_only(access: Access) -> None:
    if not access.can_administer:
        raise PermissionDenied(f"Only a project admin may do this; your role is {access.role}.")


@require_http_methods(["GET", "HEAD", "POST"])
@in_project
def settings_page(request: HttpRequest, access: Access) -> HttpResponse:
    """The project's name, the defaults of its experiments, and its targets."""
    _admins_only(access)
    initial = {
        "name": access.name,
        "margin": access.margin,
        "smallest_gain": access.smallest_gain,
        "targets": ", ".join(access.targets),
        "reviews": access.reviews,
    }
    form = SettingsForm(request.POST or None, initial=initial)

    def change(cleaned: dict[str, Any]) -> bool:
        projects.change(access=access, **cleaned)
        return True

    if request.method == "POST" and _try(form, change):
        messages.success(request, "The settings are saved.")
        return redirect("project_settings", access.slug)
    context = {
        "project": access,
        "section": "settings",
        "form": form,
        "reviews": REVIEWS,
        "sealed": project_record(access).seals_test,
        "approvers": people_who_may(access.project_id, "approver"),
        "page": changes_of(access, page_of(request)),
    }
    return render(request, "projects/settings.html", context, status=400 if form.errors else 200)


@require_POST
@in_project
def seal_project(request: HttpRequest, access: Access) -> HttpResponse:
    """Seal the test scores of later experiments."""
    done(request, lambda: projects.seal(access=access), "Test scores of new experiments: sealed.")
    return redirect("project_settings", access.slug)


@require_POST
@in_project
def archive_project(request: HttpRequest, access: Access) -> HttpResponse:
    """Take the project from lists, inbox and queue."""
    done(request, lambda: projects.archive(access=access), f"{access.name} is archived.")
    return redirect("project_settings", access.slug)


@require_POST
@in_project
def bring_project_back(request: HttpRequest, access: Access) -> HttpResponse:
    """List the project again."""
    done(request, lambda: projects.bring_back(access=access), f"{access.name} is listed again.")
    return redirect("project_settings", access.slug)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def new_project_page(request: PersonRequest) -> HttpResponse:
    """Begin a project; whoever makes it is its first admin."""
    if not request.user.has_perm("experiments.add_project"):
        raise PermissionDenied("You need the permission to add projects.")
    form = NewProjectForm(request.POST or None, initial={"direction": "maximize", "margin": 0})
    made = None
    if request.method == "POST":
        made = _try(form, lambda cleaned: projects.create(user=request.user, **cleaned))
    if made is not None:
        messages.success(request, f"{made.name} is created. Start with its baseline.")
        return redirect("project", made.slug)
    context = {"form": form}
    return render(request, "projects/new.html", context, status=400 if form.errors else 200)
