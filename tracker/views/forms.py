"""The pages' forms; the limits are those of the API."""

from __future__ import annotations

from typing import Any

from django import forms

from common.errors import PolystoreError
from tracker.models import LONGEST_TAG, MOST_POINTS, MOST_TAGS, Todo


class FormInvalid(PolystoreError):
    """A form was not filled in as it asks for."""

    code, status, title = "tracker.form_invalid", 422, "Not possible so"


class TodoForm(forms.Form):
    """A new todo."""

    title = forms.CharField(max_length=200)
    due_on = forms.DateField(required=False)
    priority = forms.ChoiceField(choices=Todo.Priority.choices, required=False)
    points = forms.IntegerField(min_value=0, max_value=MOST_POINTS, required=False)
    tags = forms.CharField(max_length=MOST_TAGS * (LONGEST_TAG + 1), required=False)

    def clean_tags(self) -> list[str]:
        """Return what stands between commas."""
        tags = [tag for given in self.cleaned_data["tags"].split(",") if (tag := given.strip())]
        if len(tags) > MOST_TAGS or any(len(tag) > LONGEST_TAG for tag in tags):
            raise forms.ValidationError(
                f"At most {MOST_TAGS} tags of at most {LONGEST_TAG} letters."
            )
        return tags


class TimerForm(forms.Form):
    """A new timer."""

    label = forms.CharField(max_length=200, required=False)


class ReportForm(forms.Form):
    """The report of a day."""

    day = forms.DateField()
    hours = forms.DecimalField(min_value=0, max_value=24, max_digits=4, decimal_places=2)
    mood = forms.IntegerField(min_value=1, max_value=5, required=False)
    notes = forms.CharField(max_length=10_000, required=False)


def cleaned(form: forms.Form) -> dict[str, Any]:
    """Return what the form holds.

    :raises FormInvalid: naming each field that is wrong.
    """
    if form.is_valid():
        return form.cleaned_data
    faults = (
        f"{form.fields[name].label or name.replace('_', ' ').capitalize()}: {fault}"
        for name, found in form.errors.items()
        for fault in found
    )
    raise FormInvalid(" ".join(faults))
