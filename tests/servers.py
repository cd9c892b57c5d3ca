"""A pytest plugin (`-p tests.servers`): real servers of their own for every run of the tests.

They start before Django's settings are read, because pytest-django reads them early, and are
deleted at the end. `POLYSTORE_TEST_SHAPE=one` runs everything on one database; the default has all
aliases and a streaming replica. `POLYSTORE_TEST_SERVERS=environment` uses the servers that the
environment's variables name (tests write to them and empty caches) instead of starting any.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

import pytest

from devservers.aliases import ALL_SERVERS, MONGODB, PRIMARY, REDIS
from devservers.errors import ServersError
from devservers.sets import ServerSet

SHAPES = {"all": ALL_SERVERS, "one": (PRIMARY, REDIS, MONGODB)}
OURS = ("DATABASE_URL", "CACHE_STORAGE_POSTGRES_URL", "MONGO_URL", "REDIS_URL", "BROKER_URL")
"""Ends of variables that name servers: none may lead a test to somebody's data."""

OF_A_MODULE, OF_REAL_SERVERS, OF_A_BROWSER = 15, 8, 10
"""What a module costs beside its tests, and a test for what it uses, in plain tests; measured."""
KEY = pytest.StashKey[ServerSet]()
UNUSED = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --long and --share."""
    parser.addoption("--long", action="store_true", help="run the tests marked `long`, too")
    parser.addoption(
        "--share", type=_share, metavar="N/M", help="run the Nth of M shares, whole modules each"
    )


def _share(text: str) -> tuple[int, int]:
    number, _, of = text.partition("/")
    if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise argparse.ArgumentTypeError(f"{text!r} is no share: 1/2, 2/2 …")
    return int(number), int(of)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser, args: list[str]
) -> Generator[None]:
    """Start the servers and name them in the environment before anybody reads the settings."""
    options = early_config.known_args_namespace
    _take_a_folder(early_config)
    idle = options.help or options.version or getattr(options, "collectonly", False)
    if not idle and os.environ.get("POLYSTORE_TEST_SERVERS") != "environment":
        _start(early_config)
    return (yield)


def _take_a_folder(config: pytest.Config) -> None:
    """Give the run a temporary folder that no other account's run can have left in the way."""
    if "PYTEST_DEBUG_TEMPROOT" in os.environ:
        return
    folder = tempfile.TemporaryDirectory(prefix="polystore-tests-", ignore_cleanup_errors=True)
    os.environ["PYTEST_DEBUG_TEMPROOT"] = folder.name

    def leave() -> None:
        del os.environ["PYTEST_DEBUG_TEMPROOT"]
        folder.cleanup()

    config.add_cleanup(leave)


def _start(config: pytest.Config) -> None:
    shape = os.environ.get("POLYSTORE_TEST_SHAPE", "all")
    if shape not in SHAPES:
        raise pytest.UsageError(f"POLYSTORE_TEST_SHAPE is {shape!r}: one of {', '.join(SHAPES)}.")
    config.stash[UNUSED] = sorted(name for name in os.environ if name.endswith(OURS))
    for name in list(os.environ):
        if name.endswith(OURS) or name == "SPLIT_DB_MODE" or name.startswith("PG"):
            del os.environ[name]
    servers = ServerSet(f"test-{os.getpid()}", throwaway=True)
    config.add_cleanup(servers.down)
    try:
        servers.up(SHAPES[shape])
    except ServersError as error:
        raise pytest.UsageError(str(error)) from None
    os.environ.update(servers.environment())
    config.stash[KEY] = servers


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the long tests unless they are asked for, and the shares of other runs.

    Last, when -m and -k have chosen: shares are of what runs.
    """
    left_out: list[pytest.Item] = []
    if not config.getoption("--long"):
        left_out += [item for item in items if item.get_closest_marker("long")]
    share = config.getoption("--share")
    if share is not None:
        left = set(items).difference(left_out)
        ours = modules_of_share(_what_modules_cost(left), *share)
        left_out += [item for item in items if str(item.path) not in ours]
    if left_out:
        config.hook.pytest_deselected(items=list(dict.fromkeys(left_out)))
        unwanted = set(left_out)
        items[:] = [item for item in items if item not in unwanted]


def _what_modules_cost(items: Iterable[pytest.Item]) -> dict[str, int]:
    """Return module → what its tests take, about, in plain tests."""
    costs: Counter[str] = Counter()
    for item in items:
        used = getattr(item, "fixturenames", ())
        costs[str(item.path)] += (
            1
            + OF_REAL_SERVERS * ("servers_of_the_session" in used)
            + OF_A_BROWSER * ("browser" in used)
        )
    return {module: cost + OF_A_MODULE for module, cost in costs.items()}


def modules_of_share(costs: Mapping[str, int], number: int, of: int) -> set[str]:
    """Return the modules of the Nth share: each takes the costliest module that is left, by turns.

    :param costs: module → what it takes, in any unit.
    """
    shares: list[set[str]] = [set() for _ in range(of)]
    sizes = [0] * of
    for module in sorted(costs, key=lambda module: (-costs[module], module)):
        smallest = sizes.index(min(sizes))
        shares[smallest].add(module)
        sizes[smallest] += costs[module]
    return shares[number - 1]


def pytest_report_header(config: pytest.Config) -> Sequence[str]:
    """Say which servers the tests use."""
    servers = config.stash.get(KEY, None)
    if servers is None:
        return []
    lines = [f"servers: {', '.join(servers.servers)} (set {servers.name})"]
    if unused := config.stash.get(UNUSED, []):
        said = "not used, unless POLYSTORE_TEST_SERVERS=environment"
        lines.append(f"{', '.join(unused)}: {said}")
    return lines


@pytest.fixture(scope="session")
def servers_of_the_session(request: pytest.FixtureRequest) -> ServerSet:
    """Return the set that the tests run on, for fixtures that add servers to it."""
    servers = request.config.stash.get(KEY, None)
    if servers is None:
        pytest.skip("It stops servers, and these are not its own.")
    return servers


@pytest.fixture
def servers(servers_of_the_session: ServerSet) -> Iterator[ServerSet]:
    """Yield the set; whatever the test stops, kills or pauses works again afterwards."""
    with servers_of_the_session.healed():
        yield servers_of_the_session
