"""For whoever else remembers credentials: whether what was read of a user still counts.

Personal tokens, OAuth's tokens and anything else that vouches for a user ends with the user's
password, deactivation and deletion, at once and in every process. Who remembers one between
requests asks here before believing it::

    moment = ends.before_reading()            # before the primary is asked
    token = ...                               # one query: the token and its user
    cache[checksum] = token, moment
    ...
    token, moment = cache[checksum]
    if ends.counts_still(moment, str(token.user_id), checksum):
        ...                                   # costs no query, is exact within a second

False means no more than "ask the primary again": it knows better. News comes from triggers, so
`update()` and plain SQL are heard of, too: the id of a user who was changed in any way that is of
interest here (`0004_sessions.py` lists the columns). Rows of your own are told of by a trigger of
your own that names whatever you ask for above, up to 200 characters of ASCII::

    PERFORM pg_notify('accounts_sessions', OLD.checksum);

A process that does not hear the primary believes nothing that it remembers: then the answer is
always False, within `feed.BELIEVED_SECONDS` of the last sign of life.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from django.conf import settings

from accounts.sessions import feed, telling
from accounts.sessions.memory import NEWS_SECONDS, memory


@dataclass(frozen=True, slots=True)
class Moment:
    """When something was read; worth nothing in another process."""

    at: float


def before_reading() -> Moment:
    """Return the moment to remember with what is read of the primary next.

    From the first call on, this process listens.
    """
    if settings.SESSION_MEMORY:
        feed.keep_listening()
        telling.keep_telling()
    return Moment(time.monotonic())


def counts_still(moment: Moment, *names: str) -> bool:
    """Tell whether nothing was heard of these since then, and everything would have been.

    :param names: ids of users (with hyphens, in small letters), and names that triggers of your own
        tell.
    """
    recent = time.monotonic() - moment.at < NEWS_SECONDS
    return recent and feed.is_live() and not memory.heard_since(moment.at, *names)
