from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.workers.repositories import commit, git, new_repository
from workers.objectives.working_copies import NoWorkingCopy, remove, unused, working_copy


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return new_repository(tmp_path / "repository")


def test_each_commit_has_a_copy_of_its_own_also_one_that_came_later(
    repository: Path, tmp_path: Path
) -> None:
    first = commit(repository, "one")
    older = working_copy(tmp_path / "copies", str(repository), first)
    second = commit(repository, "two")
    newer = working_copy(tmp_path / "copies", str(repository), second)
    assert (older / "train.py").read_text() == "one"
    assert (newer / "train.py").read_text() == "two"
    assert working_copy(tmp_path / "copies", str(repository), first) == older


def test_a_copy_that_a_program_has_changed_is_not_used_again(
    repository: Path, tmp_path: Path
) -> None:
    made = commit(repository, "one")
    spoiled = working_copy(tmp_path / "copies", str(repository), made)
    (spoiled / "results.txt").write_text("a result beside the code is no change of it")
    assert working_copy(tmp_path / "copies", str(repository), made) == spoiled
    (spoiled / "train.py").write_text("other")
    fresh = working_copy(tmp_path / "copies", str(repository), made)
    assert fresh != spoiled and (fresh / "train.py").read_text() == "one"


@pytest.mark.parametrize("wrong", ["main", "HEAD", "4f1c2e9", "--upload-pack=x", "A" * 40])
def test_only_a_full_hash_names_a_commit(repository: Path, tmp_path: Path, wrong: str) -> None:
    with pytest.raises(NoWorkingCopy, match="expected the full hash of 40 digits"):
        working_copy(tmp_path / "copies", str(repository), wrong)


def test_a_commit_or_a_repository_that_is_not_there_is_named(
    repository: Path, tmp_path: Path
) -> None:
    commit(repository, "one")
    with pytest.raises(NoWorkingCopy, match="has no commit 0000"):
        working_copy(tmp_path / "copies", str(repository), "0" * 40)
    with pytest.raises(NoWorkingCopy, match="git clone failed"):
        working_copy(tmp_path / "copies", str(tmp_path / "nowhere"), "0" * 40)
    with pytest.raises(NoWorkingCopy, match="not allowed"):
        working_copy(tmp_path / "copies", "ext::sh -c whoami", "0" * 40)


def test_a_copy_that_was_not_used_for_long_is_removed_and_made_again_when_it_is_wanted(
    repository: Path, tmp_path: Path
) -> None:
    copies = tmp_path / "copies"
    older, newer = (commit(repository, text) for text in ("one", "two"))
    first, second = (
        working_copy(copies, str(repository), revision) for revision in (older, newer)
    )
    os.utime(first, (1000, 1000))
    assert unused(copies, since=2000) == [first]
    assert remove(first, since=2000) and not first.exists()
    assert not remove(second, since=2000) and second.exists()
    assert working_copy(copies, str(repository), older) == first


def test_a_commit_that_lies_on_no_branch_or_tag_is_not_run(
    repository: Path, tmp_path: Path
) -> None:
    """As one that a stranger proposes to a public repository."""
    commit(repository, "one")
    branch = git(repository, "branch", "--show-current")
    git(repository, "checkout", "-q", "--detach")
    proposed = commit(repository, "evil")
    git(repository, "update-ref", "refs/pull/7/head", proposed)
    git(repository, "checkout", "-q", branch)
    with pytest.raises(NoWorkingCopy, match="on a branch or tag"):
        working_copy(tmp_path / "copies", str(repository), proposed)
