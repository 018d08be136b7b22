"""Logging in, the own account, a new password, and following an invitation."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urljoin

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, views
from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import (
    AuthenticationForm,
    PasswordChangeForm,
    PasswordResetForm,
    SetPasswordForm,
)
from django.contrib.auth.models import User
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from experiments.errors import NotFound, VerdictError
from experiments.team import user_names
from experiments.team.pages.member_forms import AddressForm, JoinForm, blame
from experiments.team.services import accounts, invitations, throttle
from experiments.web.requests import PersonRequest

DEVICE_COOKIE = "device"
_DEVICE_SALT = "experiments.device"
_METHODS = ["get", "head", "post"]
_YEAR = 365 * 24 * 3600
RESET_MAILS = 5  # to ask for, from one address in a quarter of an hour


# Two at a time; what waits when the server ends is lost, and its receiver asks again.
MAILS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="reset-mail")


class ResetForm(PasswordResetForm):
    """Mails leave in a thread of their own: how long the answer takes tells nobody whether there
    is such an account. Django logs one that cannot be sent."""

    def send_mail(self, *arguments: Any, **named: Any) -> None:
        MAILS.submit(super().send_mail, *arguments, **named)


class LoginView(views.LoginView):
    """Django's, with failures counted per user name and per address."""

    http_method_names = _METHODS
    template_name = "account/login.html"
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        name = request.POST.get("username", "")
        try:
            self.counted = throttle.count(
                throttle.login_subjects(name, _address(request), _device_of(request, name))
            )
        except throttle.TooMany as refused:
            return _refused(request, self.template_name, refused, **self.get_context_data())
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: AuthenticationForm) -> HttpResponse:
        throttle.forgive(self.counted)
        answer = super().form_valid(form)
        accounts.forget_first_password(user=form.get_user())
        name = form.get_user().get_username()
        if _device_of(self.request, name) is None:
            _remember(answer, name)
        return answer


def _address(request: HttpRequest) -> str:
    return str(request.META.get("REMOTE_ADDR") or "")


def _device_of(request: HttpRequest, name: str) -> str | None:
    """This browser's mark when that person has logged in here before."""
    try:
        person, mark = signing.loads(
            request.COOKIES.get(DEVICE_COOKIE, ""), salt=_DEVICE_SALT, max_age=_YEAR
        )
    except (signing.BadSignature, ValueError, TypeError):
        return None
    return str(mark) if user_names.key(str(person)) == user_names.key(name) else None


def _remember(answer: HttpResponse, name: str) -> None:
    answer.set_cookie(
        DEVICE_COOKIE,
        signing.dumps([name, secrets.token_urlsafe(12)], salt=_DEVICE_SALT),
        max_age=_YEAR,
        httponly=True,
        samesite="Lax",
        path=settings.SESSION_COOKIE_PATH,
        secure=settings.SESSION_COOKIE_SECURE,
    )


def _refused(
    request: HttpRequest, template: str, error: throttle.TooMany, **context: Any
) -> HttpResponse:
    answer = render(request, template, {**context, "too_many": error.message}, status=429)
    answer.headers["Retry-After"] = str(error.seconds)
    return answer


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def account_page(request: PersonRequest) -> HttpResponse:
    """Page of a person's account: mail address, password, tokens."""
    form = AddressForm(request.POST or None, initial={"email": request.user.email})
    if request.method == "POST" and form.is_valid():
        name = request.user.get_username()
        subject = throttle.Subject("own password", name, settings.LOGIN_FAILURES_PER_NAME)
        try:
            counted = throttle.count([subject])
            accounts.change_address(user=request.user, **form.cleaned_data)
        except VerdictError as error:
            blame(form, error.problems, error.message)
        else:
            throttle.forgive(counted)
            messages.success(request, "Saved.")
            return redirect("account")
    return render(
        request, "account/account.html", {"form": form}, status=400 if form.errors else 200
    )


class PasswordChangeView(views.PasswordChangeView):
    """Ends the person's other sessions, too."""

    http_method_names = _METHODS
    template_name = "account/password.html"
    success_url = reverse_lazy("account")

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        name = request.user.get_username()
        subject = throttle.Subject("own password", name, settings.LOGIN_FAILURES_PER_NAME)
        try:
            self.counted = throttle.count([subject])
        except throttle.TooMany as refused:
            return _refused(request, self.template_name, refused, **self.get_context_data())
        return super().post(request, *args, **kwargs)

    def form_valid(self, form: PasswordChangeForm) -> HttpResponse:
        throttle.forgive(self.counted)
        messages.success(self.request, "The password is changed. Other browsers are logged out.")
        return super().form_valid(form)


class PasswordResetView(views.PasswordResetView):
    """Mails a link; the answer is the same whether there is such a person or not."""

    http_method_names = _METHODS
    form_class = ResetForm
    template_name = "account/reset.html"
    email_template_name = "account/reset_mail.txt"
    subject_template_name = "account/reset_subject.txt"
    success_url = reverse_lazy("password_reset_sent")

    @property
    def extra_email_context(self) -> dict[str, Any]:  # type: ignore[override]
        """The configured address: a request's Host must not choose where the link leads."""
        return {"public_url": urljoin(settings.PUBLIC_URL, "/").rstrip("/")}

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_context_data(**kwargs), "mails": bool(settings.EMAIL_HOST)}

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not settings.EMAIL_HOST:
            return self.get(request, *args, **kwargs)
        subject = throttle.Subject("reset", throttle.network_of(_address(request)), RESET_MAILS)
        try:
            throttle.count([subject])
        except throttle.TooMany as refused:
            return _refused(request, self.template_name, refused, **self.get_context_data())
        return super().post(request, *args, **kwargs)


class PasswordResetConfirmView(views.PasswordResetConfirmView):
    """Sets the new password; failures at the old one count no more."""

    http_method_names = _METHODS
    template_name = "account/reset_confirm.html"
    success_url = reverse_lazy("login")

    def form_valid(self, form: SetPasswordForm[User]) -> HttpResponse:
        answer = super().form_valid(form)
        throttle.forgive_name(form.user.get_username())
        messages.success(self.request, "The new password is set. Log in with it.")
        return answer


@method_decorator(never_cache, name="dispatch")
class PasswordResetSentView(views.PasswordResetDoneView):
    template_name = "account/reset_sent.html"


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def invitation_page(request: HttpRequest, token: str) -> HttpResponse:
    """Join with the account one has, or make one."""
    try:
        invitation = invitations.find(token)
        form = JoinForm(request.POST or None, initial={"email": invitation.email})
        if request.method == "POST" and _joined(request, token, form):
            return redirect("project", invitation.project.slug)
    except NotFound as error:
        return render(request, "account/invitation.html", {"dead": error.message}, status=404)
    context = {"invitation": invitation, "form": form}
    refused = request.method == "POST"
    return render(request, "account/invitation.html", context, status=400 if refused else 200)


def _joined(request: HttpRequest, token: str, form: JoinForm) -> bool:
    """Make the person a member, and tell whether it worked; otherwise the form says why not."""
    person = request.user
    known = isinstance(person, User)
    if not known and not form.is_valid():
        return False
    try:
        if isinstance(person, User):
            invitations.accept(user=person, token=token)
        else:
            cleaned = form.cleaned_data
            joined = invitations.join(
                token=token,
                username=cleaned["username"],
                password=cleaned["password"],
                email=cleaned["email"],
            )
            login(request, joined)
    except NotFound:
        raise
    except VerdictError as error:
        if known:
            messages.error(request, error.message)
        else:
            blame(form, error.problems, error.message)
        return False
    return True
