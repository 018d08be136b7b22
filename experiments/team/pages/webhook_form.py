"""The request for a webhook."""

from __future__ import annotations

from django import forms


class WebhookForm(forms.Form):
    """Fields as typed; the service checks them."""

    address = forms.CharField(max_length=2000)
    kind = forms.CharField(max_length=10)
    events = forms.MultipleChoiceField(
        error_messages={"required": "Choose at least one event."},
    )

    def __init__(self, *args: object, events: list[str], **more: object) -> None:
        super().__init__(*args, **more)  # type: ignore[arg-type]
        field = self.fields["events"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(each, each) for each in events]
