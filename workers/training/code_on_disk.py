"""Code of an objective on disk: its digest, its origin and its uncommitted diff.

The digest is of the Python files alone, under their names in the package: the same code in another
folder, repository or installation has the same one.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from experiments.design.objective_code import ObjectiveCode, PackageCode
from workers.training.loaded_sources import installations

_GIT_SECONDS = 30
_PASSED_OVER = ("__pycache__", "node_modules")

Stamps = tuple[tuple[str, int, int, int], ...]


def packages_of(objective: str, further: Sequence[str] = ()) -> tuple[str, ...]:
    """The top-level package that holds an objective, then the further ones, each once."""
    module = objective.partition(":")[0]
    return tuple(dict.fromkeys([module.partition(".")[0], *further]))


def digest_of(packages: Sequence[str]) -> str:
    """Digest of all Python files of packages; "" where none is found.

    Read anew only where a file's times or size have changed.
    """
    return _digest(tuple(_digest_of(name) for name in packages))


def _digest(digests: tuple[str, ...]) -> str:
    known = [digest for digest in digests if digest]
    if len(known) < 2:
        return known[0] if known else ""
    return hashlib.sha256("\n".join(known).encode()).hexdigest()


_digests: dict[str, tuple[Stamps, str]] = {}


def _digest_of(package: str) -> str:
    files = _files_of(package)
    stamps = _stamps(files.values())
    known = _digests.get(package)
    if known is not None and known[0] == stamps:
        return known[1]
    lines = []
    for name, file in sorted(files.items()):
        try:
            lines.append(f"{hashlib.sha256(file.read_bytes()).hexdigest()} {name}\n")
        except OSError:  # deleted meanwhile: so will the stamps say next time
            continue
    found = hashlib.sha256("".join(lines).encode()).hexdigest() if lines else ""
    _digests[package] = stamps, found
    return found


def _stamps(files: Iterable[Path]) -> Stamps:
    return tuple(sorted(stamp for file in files if (stamp := _stamp(file))))


def changed_within(seconds: float, package: str) -> bool:
    """Test whether a Python file of a package changed within the last `seconds`."""
    since = time.time_ns() - int(seconds * 1e9)
    return any(changed > since for _, changed, _, _ in _stamps(_files_of(package).values()))


def _stamp(file: Path) -> tuple[str, int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return str(file), status.st_mtime_ns, status.st_ctime_ns, status.st_size


def _files_of(package: str) -> dict[str, Path]:
    """Python files by their name in the package; nothing is imported."""
    found: dict[str, Path] = {}
    for place in places_of(package):
        if place.is_file():
            return {place.name: place}
        for file in _python_files(place):
            found.setdefault(file.relative_to(place).as_posix(), file)
    return found


def _python_files(place: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(place):
        if "pyvenv.cfg" in files:
            folders.clear()
            continue
        folders[:] = [
            name for name in folders if name not in _PASSED_OVER and not name.startswith(".")
        ]
        yield from (Path(folder, file) for file in files if file.endswith(".py"))


def places_of(package: str) -> list[Path]:
    """Folders of a package, or the file of a module, without any import; empty when there is none.

    Of a dotted name no package above it is imported, as its own finder would.
    """
    top, *rest = package.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations is None:
        file = Path(spec.origin or "")
        return [file] if file.suffix == ".py" and not rest else []
    places = [Path(place, *rest) for place in spec.submodule_search_locations]
    if folders := [place for place in places if place.is_dir()]:
        return folders
    modules = [place.with_name(f"{place.name}.py") for place in places]
    return [module for module in modules if rest and module.is_file()][:1]


_known: dict[tuple[str, ...], tuple[tuple[str, Stamps], tuple[ObjectiveCode, bytes]]] = {}


def read_code(packages: Sequence[str], shown: Sequence[str] = ()) -> tuple[ObjectiveCode, bytes]:
    """The code of packages as it lies on disk now, and what of it is not committed, as `git apply`
    takes it.

    The diff holds no more than the first one's repository and packages that are `shown`: naming
    a package must not disclose what its authors have not committed. Repositories and
    installations are asked again once a file of theirs, or the repository's head or index, has
    changed, and until git has told what differs.
    """
    key = tuple(packages)
    digest = digest_of(key)
    known = _known.get(key)
    if known is not None and known[0] == (digest, _stamps(_watched(key))):
        return known[1]
    found = [_package(name) for name in key]
    open_to = [
        diff
        for package, diff in found
        if diff and (package.name in shown or _same(package, found[0][0]))
    ]
    code = ObjectiveCode(digest, tuple(package for package, _ in found)), b"".join(open_to)
    if all(diff is not None for _, diff in found):
        _known[key] = (digest, _stamps(_watched(key))), code
    return code


def _same(package: PackageCode, other: PackageCode) -> bool:
    """Test whether both lie in one repository."""
    return bool(package.commit) and _origins.get(package.name) == _origins.get(other.name)


# What changes with a package's commit (its repository's head, index and log) or installation.
_origins: dict[str, tuple[Path, ...]] = {}
# Files of a package's folder that its repository tracks: the diff is of all of them.
_tracked: dict[str, tuple[Path, ...]] = {}


def _watched(packages: tuple[str, ...]) -> list[Path]:
    return [
        file for name in packages for file in (*_origins.get(name, ()), *_tracked.get(name, ()))
    ]


def _package(name: str) -> tuple[PackageCode, bytes | None]:
    """A package with its uncommitted diff; None where git gives none."""
    found = PackageCode(name, _digest_of(name))
    places = places_of(name)
    if not places:
        return found, b""
    place = Path(os.path.realpath(places[0]))
    if _is_installed(place):
        return _of_distribution(found, name), b""
    distribution = _distribution_beside(place, name)
    if distribution is not None:
        return _with_distribution(found, distribution), b""
    top = git(place.parent, "rev-parse", "--show-toplevel").strip()
    if not top or _is_ignored(place):
        return found, b""
    repository = Path(top)
    folder = Path(git(place.parent, "rev-parse", "--absolute-git-dir").strip())
    _origins[name] = tuple(folder / file for file in ("HEAD", "index", "logs/HEAD"))
    commit = git(repository, "rev-parse", "--verify", "HEAD").strip()
    diff = None
    tracked = _listed(repository, str(place))
    if tracked is not None:
        _tracked[name] = tuple(repository / path for path in tracked)
        diff = _diff(repository, commit, place, _files_of(name).values())
    depth = name.count(".") + 1
    return replace(
        found,
        commit=commit,
        branch=git(repository, "branch", "--show-current").strip(),
        remote=_remote(repository),
        folder=_relative(place.parents[depth - 1], repository),
        changed=diff is None or bool(diff),
    ), diff


def _relative(folder: Path, repository: Path) -> str:
    inside = os.path.relpath(folder, os.path.realpath(repository))
    return "" if inside == "." else Path(inside).as_posix()


def _is_installed(place: Path) -> bool:
    return any(place.is_relative_to(folder) for folder in installations())


def _is_ignored(place: Path) -> bool:
    """Test whether the repository ignores an untracked folder, such as a virtual environment."""
    if git(place.parent, "ls-files", "--", place.name):
        return False
    return bool(git(place.parent, "check-ignore", "--", place.name))


def _of_distribution(found: PackageCode, name: str) -> PackageCode:
    for distribution in metadata.packages_distributions().get(name.partition(".")[0], ()):
        return _with_distribution(found, metadata.distribution(distribution))
    return found


def _distribution_beside(place: Path, name: str) -> metadata.Distribution | None:
    """Distribution installed next to the package (`pip install --target`)."""
    top = name.partition(".")[0]
    ours = (f"{top}/", f"{top}.py,")
    for distribution in metadata.distributions(path=[str(place.parents[name.count(".")])]):
        record = distribution.read_text("RECORD")  # a checkout's own metadata have none
        if record and any(line.startswith(ours) for line in record.splitlines()):
            return distribution
    return None


def _with_distribution(found: PackageCode, installed: metadata.Distribution) -> PackageCode:
    origin, commit = _direct_url(installed.read_text("direct_url.json"))
    _origins[found.name] = (Path(str(installed.locate_file(""))),)
    return replace(
        found,
        distribution=installed.metadata["Name"],
        version=installed.version,
        origin=origin,
        commit=commit,
    )


def _direct_url(text: str | None) -> tuple[str, str]:
    """Origin and commit of a distribution, as PEP 610 records them; "" where unknown."""
    try:
        record = json.loads(text or "{}")
        commit = str(record.get("vcs_info", {}).get("commit_id", ""))
        return _without_credentials(str(record.get("url", ""))), commit
    except (ValueError, AttributeError):
        return "", ""


def _remote(repository: Path) -> str:
    for name in git(repository, "remote").split():
        address = git(repository, "config", "--get", f"remote.{name}.url").strip()
        if name == "origin" or address:
            return _without_credentials(address)
    return ""


def _without_credentials(address: str) -> str:
    from experiments.design.document.commands import shown  # only here: it needs Django

    return shown(address)


def _diff(repository: Path, commit: str, place: Path, files: Iterable[Path]) -> bytes | None:
    """Diff of a package's folder from the commit, with its new Python files that the repository
    does not ignore; None when git does not say.
    """
    inside = os.path.relpath(place, os.path.realpath(repository))
    ours = {os.path.realpath(file) for file in files}
    with tempfile.TemporaryDirectory(prefix="verdict-") as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder, "index"))}  # the repository's own stays
        if commit and _run(repository, "read-tree", commit, environment=index) is None:
            return None
        # By that index: a new file that was added and not committed is new, too.
        others = _listed(repository, inside, "--others", "--exclude-standard", environment=index)
        if others is None:
            return None
        new = [other for other in others if os.path.realpath(repository / other) in ours]
        add = ("add", "--intent-to-add", "--", *new)
        if new and _run(repository, *add, environment=index) is None:
            return None
        options = ("--binary", "--no-ext-diff", "--no-textconv", "--no-color")
        return _run(repository, "diff", *options, "--", inside, environment=index)


def _listed(
    repository: Path, inside: str, *options: str, environment: Mapping[str, str] | None = None
) -> list[str] | None:
    """Files of an index under a folder, or the others there; None when git does not say."""
    found = _run(repository, "ls-files", "-z", *options, "--", inside, environment=environment)
    return None if found is None else [part for part in os.fsdecode(found).split("\0") if part]


def git(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
    """Output of git; "" when it fails, is missing or finds no repository."""
    return (_run(folder, *arguments, environment=environment) or b"").decode(errors="replace")


def _run(
    folder: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> bytes | None:
    """Output of git; None when it fails, is missing or takes too long."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    if "GIT_CEILING_DIRECTORIES" in os.environ:
        own["GIT_CEILING_DIRECTORIES"] = os.environ["GIT_CEILING_DIRECTORIES"]
    try:
        # Reading must not take the lock that someone's commit waits for.
        done = subprocess.run(
            ["git", "--no-optional-locks", "-c", "core.fsmonitor=false", *arguments],
            cwd=folder,
            env={**own, "LC_ALL": "C", **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
