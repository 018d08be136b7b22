"""Errors of a service, shown in the form that called it."""

from __future__ import annotations

from django import forms

from experiments.errors import VerdictError


class SaysRefusals(forms.Form):
    """A form that can be told what a service found wrong with what it asked."""

    def say(self, error: VerdictError) -> None:
        """Put what a service refused to the fields it names; the rest above them."""
        for problem in error.problems:
            known = problem.where in self.fields
            self.add_error(problem.where if known else None, problem.message)
        if not error.problems:
            self.add_error(None, error.message)
