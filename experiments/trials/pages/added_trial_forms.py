"""Forms that add trials to a search: a configuration, or more of the sampler's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django import forms

from experiments.design.space.search_space import (
    Choices,
    Hyperparameter,
    Range,
    Scalar,
    searched_domain,
    show,
)
from experiments.design.space_formatting import domain_words
from experiments.errors import Problem, VerdictError

PREFIX = "value"  # of a hyperparameter's field, so that none is called "arm"
_LONGEST = 100  # characters of a number
EVERY_ARM = ("", "every arm")


class ConfigurationForm(forms.Form):
    """A field for each searched hyperparameter, and the arm when there are several.

    A field may stay empty where its hyperparameter does not exist in the chosen arm.
    """

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        searched: Sequence[Hyperparameter],
        arms: Sequence[tuple[int, str]],
        values: Mapping[str, Any] | None = None,
        arm: int | None = None,
    ) -> None:
        """`searched` with their domains; `arms` as index and label; `values` to begin with."""
        super().__init__(data, label_suffix="")
        self._searched = {
            hyperparameter.name: searched_domain(hyperparameter) for hyperparameter in searched
        }
        if len(arms) > 1:
            self.fields["arm"] = forms.ChoiceField(
                choices=[EVERY_ARM, *((str(index), label) for index, label in arms)],
                required=False,
                initial="" if arm is None else str(arm),
                label="Arm",
            )
        for hyperparameter in searched:
            start = (values or {}).get(hyperparameter.name)
            self.fields[f"{PREFIX}-{hyperparameter.name}"] = _field(hyperparameter, start)

    @property
    def parameters(self) -> dict[str, Any]:
        """The values that were filled in, as their domains write them."""
        found = {}
        for name, domain in self._searched.items():
            value = self.cleaned_data.get(f"{PREFIX}-{name}")
            if value not in (None, ""):
                found[name] = domain.values[int(value)] if isinstance(domain, Choices) else value
        return found

    @property
    def arm(self) -> int | None:
        """The index of the chosen arm, None for every one."""
        chosen = self.cleaned_data.get("arm")
        return int(chosen) if chosen else None

    def say(self, problems: Iterable[Problem]) -> None:
        """Put what a service refused to the fields it names; the rest above them."""
        for problem in problems:
            name = problem.where if problem.where == "arm" else f"{PREFIX}-{problem.where}"
            if name in self.fields:
                self.add_error(name, f"{problem.where} {problem.message}")
            else:
                self.add_error(None, str(problem))


class NumberField(forms.CharField):
    """A number as an experiment file writes it, such as 1e-4; whole where the range is."""

    def __init__(self, domain: Range, **more: Any) -> None:
        super().__init__(max_length=_LONGEST, **more)
        self._whole = domain.integer

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if text == "":
            return None
        try:
            number = float(text)
        except ValueError:
            raise forms.ValidationError(f"{text} is no number.", code="number") from None
        return int(number) if self._whole and number.is_integer() else number


class BudgetForm(forms.Form):
    """To how many trials the sampler is to run in every arm."""

    per_arm = forms.IntegerField(min_value=1, label="Trials of each arm")

    def say(self, error: VerdictError) -> None:
        """Put what the service refused to the field."""
        self.add_error("per_arm", [problem.message for problem in error.problems] or error.message)


class GridForm(forms.Form):
    """Consent to a grid of more than two dimensions."""

    insist = forms.BooleanField(required=False)

    def say(self, error: VerdictError) -> None:
        """Put what was refused above the button."""
        self.add_error(None, [str(problem) for problem in error.problems] or error.message)


def _field(hyperparameter: Hyperparameter, start: Scalar) -> forms.Field:
    domain = searched_domain(hyperparameter)
    if isinstance(domain, Range):
        shown = "" if start is None else repr(start)
        words = domain_words(hyperparameter) + (", log" if domain.log else "")
        number = NumberField(
            domain, required=False, initial=shown, label=hyperparameter.name, help_text=words
        )
        number.widget.attrs |= {"inputmode": "decimal", "autocomplete": "off"}
        return number
    chosen = ""
    if domain.holds(start):
        chosen = str(domain.index(start))
    options = [(str(index), show(value)) for index, value in enumerate(domain.values)]
    return forms.ChoiceField(
        choices=[("", "not given"), *options],
        required=False,
        initial=chosen,
        label=hyperparameter.name,
    )
