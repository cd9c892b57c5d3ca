"""The states and territories of the United States: codes, names, and the boxes they lie in.

The boxes are widely known figures, rounded outwards to a hundredth of a degree. They serve to tell
swapped coordinates and points abroad, and to bound what is not known about a state.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

HALF_TURN = 180.0
FULL_TURN = 360.0
NEAR_DEGREES = 0.25
"""How far outside every box a point still counts as lying in the United States."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One state or territory. `west` below -180 means that it crosses the antimeridian."""

    fips: str
    name: str
    west: float
    south: float
    east: float
    north: float

    def unwrapped(self, lon: float) -> float:
        """Return `lon` on the side of the antimeridian on which this state's box is written."""
        return lon - FULL_TURN if self.west < -HALF_TURN and lon > 0 else lon

    def near(self, *, lon: float, lat: float, margin: float = 0.0) -> bool:
        """Tell whether the point lies in the box, widened by `margin` degrees."""
        lon = self.unwrapped(lon)
        return (
            self.west - margin <= lon <= self.east + margin
            and self.south - margin <= lat <= self.north + margin
        )


_ROWS = """
01 Alabama|-88.48 30.14 -84.88 35.02
02 Alaska|-187.80 51.10 -129.90 71.50
04 Arizona|-114.83 31.32 -109.03 37.02
05 Arkansas|-94.63 32.99 -89.63 36.51
06 California|-124.50 32.52 -114.12 42.02
08 Colorado|-109.07 36.98 -102.03 41.01
09 Connecticut|-73.74 40.94 -71.78 42.06
10 Delaware|-75.80 38.44 -74.97 39.85
11 District of Columbia|-77.13 38.78 -76.90 39.00
12 Florida|-87.64 24.38 -79.96 31.01
13 Georgia|-85.61 30.35 -80.74 35.01
15 Hawaii|-178.46 18.86 -154.74 28.53
16 Idaho|-117.25 41.98 -111.03 49.01
17 Illinois|-91.52 36.96 -87.01 42.52
18 Indiana|-88.11 37.76 -84.77 41.77
19 Iowa|-96.65 40.37 -90.13 43.51
20 Kansas|-102.06 36.98 -94.58 40.01
21 Kentucky|-89.58 36.49 -81.96 39.15
22 Louisiana|-94.05 28.85 -88.75 33.03
23 Maine|-71.09 42.91 -66.88 47.47
24 Maryland|-79.49 37.88 -74.98 39.73
25 Massachusetts|-73.51 41.18 -69.85 42.89
26 Michigan|-90.42 41.69 -82.12 48.31
27 Minnesota|-97.24 43.49 -89.48 49.39
28 Mississippi|-91.66 30.13 -88.09 35.01
29 Missouri|-95.78 35.99 -89.09 40.62
30 Montana|-116.06 44.35 -104.03 49.01
31 Nebraska|-104.06 39.99 -95.30 43.01
32 Nevada|-120.01 34.99 -114.03 42.01
33 New Hampshire|-72.56 42.69 -70.57 45.31
34 New Jersey|-75.57 38.78 -73.88 41.36
35 New Mexico|-109.06 31.32 -103.00 37.01
36 New York|-79.77 40.47 -71.77 45.02
37 North Carolina|-84.33 33.75 -75.40 36.59
38 North Dakota|-104.06 45.93 -96.55 49.01
39 Ohio|-84.83 38.39 -80.51 42.33
40 Oklahoma|-103.01 33.61 -94.43 37.01
41 Oregon|-124.71 41.98 -116.46 46.30
42 Pennsylvania|-80.53 39.71 -74.68 42.52
44 Rhode Island|-71.91 41.09 -71.08 42.02
45 South Carolina|-83.36 32.03 -78.49 35.22
46 South Dakota|-104.06 42.47 -96.43 45.95
47 Tennessee|-90.32 34.97 -81.64 36.69
48 Texas|-106.65 25.83 -93.50 36.51
49 Utah|-114.06 36.99 -109.03 42.01
50 Vermont|-73.45 42.72 -71.46 45.02
51 Virginia|-83.68 36.53 -75.16 39.47
53 Washington|-124.85 45.54 -116.91 49.01
54 West Virginia|-82.65 37.20 -77.71 40.64
55 Wisconsin|-92.89 42.49 -86.24 47.31
56 Wyoming|-111.06 40.99 -104.05 45.01
60 American Samoa|-171.15 -14.61 -168.10 -11.00
66 Guam|144.56 13.18 145.01 13.71
69 Northern Mariana Islands|144.81 14.03 146.16 20.62
72 Puerto Rico|-67.99 17.83 -65.17 18.57
78 Virgin Islands|-65.16 17.62 -64.50 18.47
"""


def _read(row: str) -> State:
    head, _, box = row.partition("|")
    fips, _, name = head.partition(" ")
    west, south, east, north = (float(side) for side in box.split())
    return State(fips=fips, name=name, west=west, south=south, east=east, north=north)


STATES: Mapping[str, State] = MappingProxyType(
    {state.fips: state for state in map(_read, _ROWS.strip().splitlines())}
)


def near_the_states(*, lon: float, lat: float) -> bool:
    """Tell whether a point lies in or near the box of any state or territory."""
    cell = math.floor(lon), math.floor(lat)
    return cell in _INSIDE or any(
        state.near(lon=lon, lat=lat, margin=NEAR_DEGREES) for state in _TOUCHED.get(cell, ())
    )


def _cells(state: State, *, whole: bool) -> Iterator[tuple[int, int]]:
    """Yield the lower left corners of the whole degrees that lie in, or touch, a widened box."""
    low, high = (math.ceil, 0) if whole else (math.floor, 1)
    west, south = low(state.west - NEAR_DEGREES), low(state.south - NEAR_DEGREES)
    east, north = state.east + NEAR_DEGREES, state.north + NEAR_DEGREES
    for lon in range(west, math.floor(east) + high):
        for lat in range(south, math.floor(north) + high):
            yield (lon + 360 if lon < -HALF_TURN else lon), lat
            if lon == -HALF_TURN and west < lon:
                yield 180, lat


_INSIDE = frozenset(cell for state in STATES.values() for cell in _cells(state, whole=True))
"""Most points that are asked about lie in one of these: one look instead of one per state."""


def _touched() -> Mapping[tuple[int, int], Sequence[State]]:
    """Return whose boxes may hold some of a cell."""
    found: dict[tuple[int, int], list[State]] = {}
    for state in STATES.values():
        for cell in _cells(state, whole=False):
            found.setdefault(cell, []).append(state)
    return found


_TOUCHED = _touched()
