"""Users and their addresses."""

from __future__ import annotations

import pytest
from django.contrib.auth import authenticate
from django.core.exceptions import ValidationError

from accounts.models import User
from tests.homes import refused_by_the_database
from tests.people import PASSWORD, a_user

pytestmark = pytest.mark.django_db(databases=["default"])


class TestAnAddress:
    def test_belongs_to_one_user_however_it_is_capitalised(self) -> None:
        a_user("Ada@example.com")

        with refused_by_the_database(User, "accounts_user_email_unique"):
            a_user("ada@Example.com")

    def test_that_is_taken_is_refused_by_forms_in_words(self) -> None:
        a_user("Ada@example.com")

        with pytest.raises(ValidationError, match="exists already"):
            User(email="ADA@example.com", password="x").full_clean()

    def test_signs_in_in_any_capitalisation(self) -> None:
        ada = a_user("Ada@example.com")

        assert authenticate(username="aDA@EXAMPLE.com", password=PASSWORD) == ada
        assert authenticate(username="aDA@EXAMPLE.com", password="wrong") is None

    def test_is_found_through_the_index(self) -> None:
        plan = User.objects.with_email("ada@example.com").query

        assert 'LOWER("accounts_user"."email") = (LOWER(' in str(plan)

    @pytest.mark.parametrize("nothing", ["", "  "])
    def test_must_be_given(self, nothing: str) -> None:
        with pytest.raises(ValueError, match="needs an e-mail address"):
            User.objects.create_user(nothing)


class TestAUser:
    def test_has_no_rights_from_the_start(self) -> None:
        ada = a_user()

        assert (ada.is_active, ada.is_staff, ada.is_superuser) == (True, False, False)

    def test_without_a_password_cannot_sign_in_with_one(self) -> None:
        ada = User.objects.create_user("ada@example.com")

        assert not ada.has_usable_password()
        assert authenticate(username="ada@example.com", password="") is None

    def test_is_called_by_name_or_by_the_front_of_the_address(self) -> None:
        assert a_user("ada@example.com").name == "ada"
        assert a_user("alan@example.com", first_name="Alan", last_name="T.").name == "Alan T."
