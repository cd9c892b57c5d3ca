"""The lookup `any_of` finds what `in` finds, with one parameter."""

from __future__ import annotations

import uuid

import pytest
from django.db import DataError, connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from tests.people import a_user
from tracker.models import Todo

pytestmark = pytest.mark.django_db


def test_rows_are_found_by_ids_and_by_texts_of_ids():
    ann, ben = a_user("ann@example.com"), a_user("ben@example.com")
    a_user("cat@example.com")

    found = User.objects.filter(pk__any_of=[ann.pk, ben.pk, uuid.uuid4()])
    by_text = User.objects.filter(pk__any_of=[str(ann.pk), str(ben.pk)])

    assert set(found) == set(by_text) == {ann, ben}


def test_rows_are_found_by_a_foreign_key():
    ann = a_user()
    todo = Todo.objects.create(user=ann, title="Water the plants")

    assert list(Todo.objects.filter(user_id__any_of=[str(ann.pk)])) == [todo]
    assert not Todo.objects.filter(user_id__any_of=[uuid.uuid4()]).exists()


def test_texts_are_found_however_they_are_written():
    ann = a_user("o'brien{,}\"%s@example.org")

    assert list(User.objects.filter(email__any_of=[ann.email, "x"])) == [ann]


def test_many_values_are_one_parameter():
    with CaptureQueriesContext(connection) as asked:
        assert not User.objects.filter(pk__any_of=[uuid.uuid4() for _ in range(500)]).exists()

    assert len(asked) == 1
    assert asked[0]["sql"].count("ANY(") == 1


def test_no_value_asks_nothing():
    with CaptureQueriesContext(connection) as asked:
        assert list(User.objects.filter(pk__any_of=[])) == []

    assert len(asked) == 0


def test_what_is_no_id_is_refused_by_the_server():
    with pytest.raises(DataError), transaction.atomic():
        User.objects.filter(pk__any_of=["nobody"]).exists()
