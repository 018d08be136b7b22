"""Access to project pages, and domain errors as pages."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import urlsplit

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from experiments.errors import NotAllowed, NotFound, Unavailable, VerdictError
from experiments.team.queries.access import Access, find_project
from experiments.web.pagination import PageOf

More = ParamSpec("More")
Found = TypeVar("Found")
ProjectView = Callable[Concatenate[HttpRequest, Access, More], HttpResponseBase]


def in_project(view: ProjectView[More]) -> Callable[..., HttpResponseBase]:
    """A page inside a project: asks to log in, and knows no project that one may not see."""

    @login_required
    @wraps(view)
    def page(request: HttpRequest, slug: str, *args: Any, **kwargs: Any) -> HttpResponseBase:
        access = required(find_project(request.user, slug))
        try:
            return view(request, access, *args, **kwargs)
        except NotFound as error:
            raise Http404(error.message) from None
        except NotAllowed as error:
            raise PermissionDenied(error.message) from None
        except Unavailable as error:
            return HttpResponse(f"{error.message}\n", status=503, content_type="text/plain")

    return page


def required(found: Found | None) -> Found:
    """The object found; None becomes the answer 404."""
    if found is None:
        raise Http404
    return found


def explain(request: HttpRequest, error: VerdictError) -> None:
    """Say on the next page what went wrong, with every part of it."""
    if not error.problems:
        messages.error(request, error.message)
        return
    parts = format_html_join("", "<li>{}</li>", ((str(problem),) for problem in error.problems))
    messages.error(request, format_html("{}<ul>{}</ul>", error.message, parts))


def attempted(request: HttpRequest, call: Callable[[], Found]) -> Found | None:
    """The result of a service; None after saying why it refused.

    What one may not see or do stays an error page.
    """
    try:
        return call()
    except (NotFound, NotAllowed):
        raise
    except VerdictError as error:
        explain(request, error)
        return None


def done(request: HttpRequest, act: Callable[[], object], message: str) -> bool:
    """Tell whether a service did what a button asks for; the next page says so, or why not."""

    def call() -> bool:
        act()
        return True

    if attempted(request, call) is None:
        return False
    messages.success(request, message)
    return True


def whole_number(text: str | None, default: int = 1) -> int:
    """A number from the address; anything else is the default."""
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else default


def page_of(request: HttpRequest, name: str = "page") -> PageOf:
    """The page of a list that an address asks for."""
    return PageOf(whole_number(request.GET.get(name)))


def back_to_list(request: HttpRequest, name: str, *parts: str) -> HttpResponse:
    """Redirect to a list; to the page of it, and its search, on which the button was pressed."""
    address = reverse(name, args=parts)
    try:
        pressed_on = urlsplit(request.headers.get("Referer", ""))
    except ValueError:  # no address at all
        return redirect(address)
    same = pressed_on.path == address and pressed_on.query
    return redirect(f"{address}?{pressed_on.query}" if same else address)
