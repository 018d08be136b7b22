"""Code of an objective as trials record it: packages, their digests, where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class PackageCode:
    """One package. Out of a repository: its `commit`, `branch` and `remote`, the folder on the
    path of imports relative to the repository, and whether files differ from the commit. Out of
    an installation: `distribution`, `version` and `origin` (PEP 610).
    """

    name: str
    digest: str = ""
    commit: str = ""
    branch: str = ""
    remote: str = ""
    folder: str = ""
    changed: bool = False
    distribution: str = ""
    version: str = ""
    origin: str = ""

    @property
    def source(self) -> str:
        """commit 4f1c2e90b3 with changes, on main; or: team-digits 1.2; "" where unknown."""
        if self.distribution:
            return f"{self.distribution} {self.version}"
        if not self.commit:
            return ""
        changes = " with changes" if self.changed else ""
        return f"commit {self.commit[:10]}{changes}{f', on {self.branch}' if self.branch else ''}"

    @property
    def label(self) -> str:
        """team a1b2c3d4e5 (commit 4f1c2e90b3)."""
        named = f"{self.name} {self.digest[:10]}".strip()
        return f"{named} ({self.source})" if self.source else named


@dataclass(frozen=True, slots=True)
class ObjectiveCode:
    """Code of an objective: one `digest` of all `packages`, "" for a command or where none was
    found.
    """

    digest: str = ""
    packages: tuple[PackageCode, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.packages)

    @property
    def label(self) -> str:
        return ", ".join(package.label for package in self.packages)

    @property
    def short(self) -> str:
        """The first ten digits of the digest, or of a command's commit."""
        commit = self.packages[0].commit if self.packages else ""
        return (self.digest or commit)[:10]

    def record(self) -> dict[str, Any]:
        """As JSON values, without what is not known."""
        packages = [
            {key: value for key, value in asdict(package).items() if value}
            for package in self.packages
        ]
        return {"digest": self.digest, "packages": packages}


_KNOWN = {field.name for field in fields(PackageCode)}


def recorded_code(environment: Mapping[str, Any]) -> ObjectiveCode:
    """The code in a trial's environment; empty for trials from before it was recorded."""
    record = environment.get("code")
    if not isinstance(record, Mapping):
        return ObjectiveCode()
    packages = tuple(
        PackageCode(**{key: value for key, value in package.items() if key in _KNOWN})
        for package in record.get("packages", ())
    )
    return ObjectiveCode(str(record.get("digest", "")), packages)
