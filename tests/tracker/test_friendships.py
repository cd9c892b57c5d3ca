"""Two users have one row, whoever asked; who is blocked learns of nobody."""

from __future__ import annotations

import pytest

from common.ids import uuid7
from tests.homes import databases_of, refused_by_the_database
from tests.tracker.world import NOW, at_once, somebody
from tracker.models import Friendship
from tracker.queries.own import blocked_ids, friend_ids, friendships_of
from tracker.services.friends import (
    FriendshipNotFound,
    FriendshipRefused,
    PersonNotFound,
    accept_friendship,
    block_person,
    decline_friendship,
    remove_friendship,
    request_friendship,
)

pytestmark = pytest.mark.django_db(transaction=True, databases=databases_of("tracker"))


def do(service, user, other):
    return service(user_id=user.pk, other_id=other.pk, at=NOW)


def statuses(user) -> list[tuple[str, bool]]:
    return [(one.status, one.asked_by_me) for one in friendships_of(user_id=user.pk).items]


@pytest.mark.parametrize("turned", [False, True])
def test_asked_and_accepted_they_are_friends(ann, ben, turned) -> None:
    asker, asked = (ben, ann) if turned else (ann, ben)
    do(request_friendship, asker, asked)
    assert (statuses(asker), statuses(asked)) == ([("pending", True)], [("pending", False)])

    do(accept_friendship, asked, asker)

    assert friend_ids(user_id=asker.pk) == {asked.pk}
    assert friend_ids(user_id=asked.pk) == {asker.pk}


def test_both_asking_at_once_become_friends_in_one_row(ann, ben) -> None:
    results = at_once(
        lambda: do(request_friendship, ann, ben), lambda: do(request_friendship, ben, ann)
    )

    assert {type(one) for one in results} == {Friendship}
    assert Friendship.objects.get().status == "accepted"


def test_nobody_accepts_their_own_request(ann, ben) -> None:
    do(request_friendship, ann, ben)

    with pytest.raises(FriendshipRefused):
        do(accept_friendship, ann, ben)
    with pytest.raises(FriendshipRefused):
        do(request_friendship, ann, ben)


def test_who_was_declined_cannot_ask_again_and_the_other_one_can(ann, ben) -> None:
    do(request_friendship, ann, ben)
    do(decline_friendship, ben, ann)

    with pytest.raises(FriendshipRefused):
        do(request_friendship, ann, ben)
    with pytest.raises(FriendshipRefused):
        do(remove_friendship, ann, ben)
    do(request_friendship, ben, ann)
    assert statuses(ann) == [("pending", False)]


def test_a_block_that_is_taken_back_does_not_undo_that_one_was_declined(ann, ben) -> None:
    do(request_friendship, ann, ben)
    do(decline_friendship, ben, ann)

    do(block_person, ann, ben)
    do(remove_friendship, ann, ben)

    assert (statuses(ann), statuses(ben)) == ([("declined", True)], [("declined", False)])
    with pytest.raises(FriendshipRefused):
        do(request_friendship, ann, ben)
    with pytest.raises(FriendshipRefused):
        do(remove_friendship, ann, ben)
    do(remove_friendship, ben, ann)  # who declined may forget it
    do(request_friendship, ann, ben)


def test_unfriending_and_taking_back_leave_no_row(ann, ben) -> None:
    do(request_friendship, ann, ben)
    do(remove_friendship, ann, ben)
    do(request_friendship, ann, ben)
    do(accept_friendship, ben, ann)
    do(remove_friendship, ben, ann)

    assert not Friendship.objects.exists()
    with pytest.raises(FriendshipNotFound):
        do(remove_friendship, ann, ben)


def test_a_block_ends_the_friendship_and_the_blocked_one_sees_nobody(ann, ben) -> None:
    do(request_friendship, ann, ben)
    do(accept_friendship, ben, ann)

    do(block_person, ben, ann)

    assert friend_ids(user_id=ann.pk) == set()
    assert (statuses(ann), statuses(ben)) == ([], [("blocked", False)])
    assert blocked_ids(user_id=ann.pk) == {ben.pk}
    with pytest.raises(PersonNotFound):
        do(request_friendship, ann, ben)
    for service in (remove_friendship, accept_friendship, decline_friendship):
        with pytest.raises(FriendshipNotFound):
            do(service, ann, ben)
    with pytest.raises(FriendshipRefused):
        do(request_friendship, ben, ann)


def test_two_who_block_each_other_unblock_each_for_themselves(ann, ben) -> None:
    do(block_person, ann, ben)
    do(block_person, ben, ann)

    do(remove_friendship, ann, ben)
    assert (statuses(ann), [s for s, _ in statuses(ben)]) == ([], ["blocked"])
    do(remove_friendship, ben, ann)
    assert not Friendship.objects.exists()


def test_nobody_befriends_themselves_a_stranger_to_the_site_or_somebody_inactive(ann) -> None:
    away = somebody("Away", is_active=False)

    for other in (ann, away):
        with pytest.raises(PersonNotFound):
            do(request_friendship, ann, other)
    with pytest.raises(PersonNotFound):
        request_friendship(user_id=ann.pk, other_id=uuid7(), at=NOW)


def test_the_database_refuses_a_second_row_of_a_pair(ann, ben) -> None:
    do(request_friendship, ann, ben)
    low, high = sorted([ann, ben], key=lambda user: user.pk)

    with refused_by_the_database(Friendship, "tracker_friendship_one_per_pair"):
        Friendship.objects.create(low=low, high=high, asked_by_low=True)
    with refused_by_the_database(Friendship, "tracker_friendship_pair_in_order"):
        Friendship.objects.create(low=high, high=low, asked_by_low=True)
    with refused_by_the_database(Friendship, "tracker_friendship_blocked_by_somebody"):
        Friendship.objects.update(status="blocked")


def test_requests_both_ways_and_blocks_at_once_never_deadlock(ann, ben) -> None:
    acts = [
        lambda: do(request_friendship, ann, ben),
        lambda: do(request_friendship, ben, ann),
        lambda: do(block_person, ann, ben),
        lambda: do(block_person, ben, ann),
    ]

    results = at_once(*acts)

    assert not [one for one in results if type(one).__module__.startswith("django")]
    assert Friendship.objects.get().status == "blocked"
