"""Finding and fetching a source: a file, a folder, an https URL, or the sample that ships.

What is read is bounded in size, packed and unpacked. Addresses inside private networks are refused
unless the caller allows them, so that a URL in a setting cannot be used to look around inside.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from caches.services.download import download
from caches.services.feature_service import Pages, Tell, fetch, is_feature_service
from caches.services.parsing import SourceRefused

MAX_PACKED: Final = 256 * 1024 * 1024
MAX_UNPACKED: Final = 1024 * 1024 * 1024
_CHUNK: Final = 1024 * 1024
Announce = Callable[[str], None]
_GZIP: Final = b"\x1f\x8b"

POLYGON_PATTERNS: Final = ("oz_tracts*.geojson", "oz_tracts*.geojson.gz")
LIST_PATTERNS: Final = ("oz_designated*.csv", "oz_designated*.csv.gz")
POINT_PATTERNS: Final = ("tract_internal_points*.csv", "tract_internal_points*.csv.gz")
SAMPLE: Final = Path(__file__).resolve().parent.parent / "data" / "sample_zones.geojson"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file or page of a source."""

    name: str
    kept: bytes
    deflated: bool = False
    """Pages of a service stay deflated until they are read."""

    @property
    def data(self) -> bytes:
        """The bytes, unpacked."""
        return zlib.decompress(self.kept) if self.deflated else self.kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The bytes of a source, sorted by what they are."""

    label: str
    """File names, for people; a URL without its query."""
    polygons: Sequence[Part] = ()
    """One file, or the pages of a service."""
    designated: Part | None = None
    points: Part | None = None
    pages_key: str = ""
    """What the pages of a service are kept under until they are zones."""

    @property
    def sha256(self) -> str:
        """The fingerprint of all bytes."""
        digest = hashlib.sha256()
        for part in (*(self.polygons or (None,)), self.designated, self.points):
            digest.update(hashlib.sha256(part.data).digest() if part else b"\0" * 32)
        return digest.hexdigest()


def choose_location(*, given: str, configured: str, beside: Path) -> str:
    """Return where zones come from: what was given, the setting, the folder `beside`, the sample.

    The folder counts when it holds both the designated list and polygons.
    """
    if given or configured:
        return given or configured
    if _newest(beside, POLYGON_PATTERNS) and _newest(beside, LIST_PATTERNS):
        return str(beside)
    return str(SAMPLE)


def is_shipped_sample(location: str) -> bool:
    """Tell whether `location` is the sample that ships with the project."""
    return Path(location) == SAMPLE


def read_source(
    location: str,
    *,
    allow_private: bool = False,
    announce: Announce = lambda _: None,
    fetched: Tell = lambda _done, _total: None,
) -> Source:
    """Read a source whole.

    :param location: a file, a folder, an https URL (of a file or of a feature service's layer), or
        several with commas between.
    :param allow_private: take URLs that lead into private networks, and plain http, too.
    :param announce: told what is being done, in a few words.
    :param fetched: told how many features of a service are there.
    :raises SourceRefused: when it is not there, too big, or nothing in it is known.
    """
    parts: list[Part] = []
    served: list[Pages] = []
    label: list[str] = []
    announce("reading")
    for one in filter(None, (piece.strip() for piece in location.split(","))):
        if is_feature_service(one):
            announce("fetching")
            pages = fetch(one, allow_private=allow_private, tell=fetched)
            served.append(pages)
            label.append(pages.label)
            continue
        found = list(_parts(one, allow_private=allow_private))
        parts += found
        label += [part.name for part in found]
    if not parts and not served:
        raise SourceRefused("No source was named.")
    source = _of_service(served, label=", ".join(label)[:500])
    for part in parts:
        source = _sorted_in(source, part)
    return source


def _of_service(served: Sequence[Pages], *, label: str) -> Source:
    if len(served) > 1:
        raise SourceRefused("Two feature services were named; name one.")
    return Source(
        label=label,
        polygons=[
            Part(name=f"page {number}", kept=packed, deflated=True)
            for pages in served
            for number, packed in enumerate(pages.packed, start=1)
        ],
        pages_key=served[0].key if served else "",
    )


def _parts(location: str, *, allow_private: bool) -> Iterable[Part]:
    if "://" in location:
        packed, name = download(location, limit=MAX_PACKED, allow_private=allow_private)
        yield Part(name=name, kept=_unpacked(packed, name))
        return
    path = Path(location).expanduser()
    if path.is_dir():
        yield from _folder(path)
    elif path.is_file():
        yield _file(path)
        if ".geojson" in path.name or ".json" in path.name:
            yield from _companions(path.parent, (LIST_PATTERNS, POINT_PATTERNS))
    else:
        raise SourceRefused(f"The source {path.name!r} is not there.")


def _folder(folder: Path) -> Iterable[Part]:
    polygons = _newest(folder, POLYGON_PATTERNS)
    if polygons is None:
        lone = [path for pattern in ("*.geojson", "*.geojson.gz") for path in folder.glob(pattern)]
        polygons = lone[0] if len(lone) == 1 else None
    if polygons is not None:
        yield _file(polygons)
    yield from _companions(folder, (LIST_PATTERNS, POINT_PATTERNS))


def _companions(folder: Path, kinds: Iterable[tuple[str, ...]]) -> Iterable[Part]:
    for patterns in kinds:
        path = _newest(folder, patterns)
        if path is not None:
            yield _file(path)


def _newest(folder: Path, patterns: tuple[str, ...]) -> Path | None:
    """Return the file whose name sorts last; names end in a date or a year."""
    try:
        return max((path for pattern in patterns for path in folder.glob(pattern)), default=None)
    except OSError:
        return None


def _file(path: Path) -> Part:
    try:
        if path.stat().st_size > MAX_PACKED:
            raise SourceRefused(f"{path.name} is larger than {MAX_PACKED // 1024**2} MB.")
        return Part(name=path.name, kept=_unpacked(path.read_bytes(), path.name))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SourceRefused(f"{path.name} cannot be read: {reason}.") from None


def _unpacked(data: bytes, name: str) -> bytes:
    if not data.startswith(_GZIP):
        return data
    out = io.BytesIO()
    try:
        with gzip.open(io.BytesIO(data)) as stream:
            while chunk := stream.read(_CHUNK):
                out.write(chunk)
                if out.tell() > MAX_UNPACKED:
                    raise SourceRefused(
                        f"{name} unpacks to more than {MAX_UNPACKED // 1024**2} MB."
                    )
    except (OSError, EOFError, zlib.error):
        raise SourceRefused(f"{name} is no whole gzip file.") from None
    return out.getvalue()


def _sorted_in(source: Source, part: Part) -> Source:
    """Put a part in its place, by what its first bytes say."""
    before: Sequence[Part | None]
    head = part.data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    first_line = head.split(b"\n", 1)[0].lower()
    if head.startswith(b"{"):
        before, placed = source.polygons, replace(source, polygons=[part])
    elif b"geoid" in first_line and b"lat" in first_line and b"lon" in first_line:
        before, placed = [source.points], replace(source, points=part)
    elif b"geoid" in first_line:
        before, placed = [source.designated], replace(source, designated=part)
    else:
        raise SourceRefused(f"{part.name} is neither GeoJSON nor a CSV with a column geoid.")
    other = next(filter(None, before), None)
    if other is not None:
        raise SourceRefused(f"{part.name} and {other.name} are of the same kind; name one.")
    return placed
