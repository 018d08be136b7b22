from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.workers.repositories import git
from workers.training import child, code_on_disk
from workers.training.code_on_disk import digest_of, packages_of, read_code
from workers.training.messages import Job

WHEEL = """Metadata-Version: 2.1
Name: team-digits
Version: 1.2
"""


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No package of another test is known, and no repository above the test's folder."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    for name in ("_digests", "_known", "_origins", "_tracked"):
        monkeypatch.setattr(code_on_disk, name, {})


def package(folder: Path, name: str = "teamcode", text: str = "rate = 1\n") -> Path:
    """A package of two files, importable from `folder`."""
    (folder / name / "models").mkdir(parents=True)
    (folder / name / "__init__.py").write_text("")
    (folder / name / "models" / "net.py").write_text(text)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    return folder / name


def commit_all(repository: Path, remote: str = "") -> str:
    if not (repository / ".git").exists():
        git(repository, "init", "-q", "-b", "main")
        if remote:
            git(repository, "remote", "add", "origin", remote)
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "change", "--allow-empty")
    return git(repository, "rev-parse", "HEAD")


def test_the_package_of_an_objective_is_the_top_level_one_and_further_ones_follow() -> None:
    found = packages_of("team.vision.digits:train", ["mylib", "team", "shared.layers"])
    assert found == ("team", "mylib", "shared.layers")


def test_an_edited_a_new_and_a_renamed_file_each_change_the_digest(tmp_path: Path) -> None:
    home = package(tmp_path)
    seen = [digest_of(["teamcode"])]
    (home / "models" / "net.py").write_text("rate = 2\n")
    seen.append(digest_of(["teamcode"]))
    (home / "data.py").write_text("rows = 3\n")
    seen.append(digest_of(["teamcode"]))
    (home / "data.py").rename(home / "rows.py")
    seen.append(digest_of(["teamcode"]))
    assert len(set(seen)) == 4 and all(len(digest) == 64 for digest in seen)


def test_an_edit_that_keeps_size_and_time_is_seen_as_well(tmp_path: Path) -> None:
    home = package(tmp_path)
    file = home / "models" / "net.py"
    first, times = digest_of(["teamcode"]), file.stat()
    file.write_text("rate = 9\n")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert digest_of(["teamcode"]) != first


def test_the_same_code_in_another_folder_has_the_same_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = package(tmp_path / "here")
    (home / "__pycache__").mkdir()
    (home / "__pycache__" / "junk.py").write_text("1")
    (home / "notes.txt").write_text("no code")
    first = digest_of(["teamcode"])
    shutil.copytree(home, tmp_path / "there" / "teamcode")
    shutil.rmtree(tmp_path / "there" / "teamcode" / "__pycache__")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "there"), *sys.path])
    assert code_on_disk.places_of("teamcode") == [tmp_path / "there" / "teamcode"]
    assert digest_of(["teamcode"]) == first


def test_a_module_of_one_file_a_package_without_init_and_one_that_is_missing(
    tmp_path: Path,
) -> None:
    (tmp_path / "lonely.py").write_text("rate = 1\n")
    (tmp_path / "spaced" / "team").mkdir(parents=True)
    (tmp_path / "spaced" / "team" / "net.py").write_text("rate = 1\n")
    sys.path.insert(0, str(tmp_path))
    assert digest_of(["lonely"]) and digest_of(["spaced"])
    assert digest_of(["spaced"]) != digest_of(["spaced.team"])
    assert digest_of(["spaced.team.net"]) and not digest_of(["spaced.none"])
    assert digest_of(["no_such_package"]) == ""


def test_code_of_a_repository_has_its_commit_branch_and_remote_without_a_password(
    tmp_path: Path,
) -> None:
    package(tmp_path)
    made = commit_all(tmp_path, "https://ada:se@cret@git.example.org/team/digits.git")
    code, diff = read_code(["teamcode"])
    (found,) = code.packages
    assert (found.commit, found.branch, found.changed) == (made, "main", False)
    assert found.remote == "https://git.example.org/team/digits.git"
    assert (found.folder, diff, code.digest) == ("", b"", found.digest)


def test_a_changed_and_a_new_file_make_the_diff_that_git_applies_to_the_commit(
    tmp_path: Path,
) -> None:
    repository = tmp_path / "mono"
    home = package(repository / "services" / "digits" / "src")
    (repository / "other.py").write_text("somebody else's\n")
    (home / ".gitignore").write_text("generated.py\n")
    commit_all(repository)
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(repository), str(clone))
    (home / "models" / "net.py").write_text("rate = 2\n")
    (home / "new.py").write_text("fresh = 1\n")
    (home / "generated.py").write_text("")
    (repository / "other.py").write_text("a secret of another team\n")
    code, diff = read_code(["teamcode"])
    (found,) = code.packages
    assert found.changed and found.folder == "services/digits/src"
    assert b"secret" not in diff and b"generated" not in diff
    (tmp_path / "code.diff").write_bytes(diff)
    git(clone, "apply", str(tmp_path / "code.diff"))
    for file in ("models/net.py", "new.py"):
        copied = clone / "services" / "digits" / "src" / "teamcode" / file
        assert copied.read_text() == (home / file).read_text()
    assert git(repository, "diff", "--cached", "--name-only") == "", "the index stays"


def test_a_commit_of_the_same_files_is_noticed(tmp_path: Path) -> None:
    home = package(tmp_path)
    commit_all(tmp_path)
    (home / "models" / "net.py").write_text("rate = 2\n")
    before, _ = read_code(["teamcode"])
    made = commit_all(tmp_path)
    after, _ = read_code(["teamcode"])
    assert (before.packages[0].changed, after.packages[0].changed) == (True, False)
    assert after.packages[0].commit == made and before.digest == after.digest


def test_git_is_not_asked_again_while_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path)
    commit_all(tmp_path)
    known = read_code(["teamcode"])
    monkeypatch.setattr(code_on_disk, "_run", lambda *a, **k: pytest.fail("asked again"))
    assert read_code(["teamcode"]) is known


def test_a_tracked_file_that_is_no_python_is_looked_at_again_once_it_is_edited(
    tmp_path: Path,
) -> None:
    home = package(tmp_path)
    (home / "labels.json").write_text("[1]")
    commit_all(tmp_path)
    seen = [read_code(["teamcode"])[0].packages[0].changed]
    (home / "labels.json").write_text("[2]")
    code, diff = read_code(["teamcode"])
    seen.append(code.packages[0].changed)
    (home / "labels.json").unlink()
    assert b"deleted file" in read_code(["teamcode"])[1]
    git(tmp_path, "checkout", "-q", "--", ".")
    seen.append(read_code(["teamcode"])[0].packages[0].changed)
    assert seen == [False, True, False] and b"+[2]" in diff


def test_a_new_file_that_was_added_and_not_committed_is_in_the_diff(tmp_path: Path) -> None:
    home = package(tmp_path)
    commit_all(tmp_path)
    (home / "new.py").write_text("fresh = 1\n")
    git(tmp_path, "add", "-A")
    code, diff = read_code(["teamcode"])
    assert code.packages[0].changed and b"+fresh = 1" in diff


@pytest.mark.parametrize("command", ["ls-files", "read-tree", "diff"])
def test_code_of_which_git_does_not_say_what_differs_counts_as_changed_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    package(tmp_path)
    made = commit_all(tmp_path)
    run = code_on_disk._run

    def hangs(folder: Path, *arguments: str, **more: Any) -> bytes | None:
        return None if arguments[0] == command else run(folder, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(code_on_disk, "_run", hangs)
        code, diff = read_code(["teamcode"])
    assert (code.packages[0].commit, code.packages[0].changed, diff) == (made, True, b"")
    assert not read_code(["teamcode"])[0].packages[0].changed, "it is asked again"


def test_the_diff_of_a_package_elsewhere_is_not_disclosed_by_naming_it(tmp_path: Path) -> None:
    home = package(tmp_path / "ours")
    other = package(tmp_path / "theirs", "theircode")
    for repository in (home.parent, other.parent):
        commit_all(repository)
    (home / "models" / "net.py").write_text("ours = 1\n")
    (other / "models" / "net.py").write_text("private = 1\n")
    code, diff = read_code(["teamcode", "theircode"])
    assert b"ours" in diff and b"private" not in diff
    assert [recorded.changed for recorded in code.packages] == [True, True]
    assert len({code.digest, *(recorded.digest for recorded in code.packages)}) == 3
    code_on_disk._known.clear()
    assert b"private" in read_code(["teamcode", "theircode"], shown=["theircode"])[1]


@pytest.mark.parametrize(
    ("told", "origin", "commit"),
    [
        (
            '{"url": "https://u:p@git.example.org/digits.git", '
            '"vcs_info": {"vcs": "git", "commit_id": "4f1c2e9"}}',
            "https://git.example.org/digits.git",
            "4f1c2e9",
        ),
        ('{"url": "file:///wheels/digits.whl"}', "file:///wheels/digits.whl", ""),
        (None, "", ""),
        ("[1]", "", ""),
    ],
)
def test_code_of_a_wheel_has_distribution_version_and_origin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str | None, origin: str, commit: str
) -> None:
    home = package(tmp_path)
    info = tmp_path / "team_digits-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(WHEEL)
    (info / "top_level.txt").write_text("teamcode\n")
    if told is not None:
        (info / "direct_url.json").write_text(told)
    commit_all(tmp_path)  # an environment inside a repository is none of it
    monkeypatch.setattr(code_on_disk, "installations", lambda: (str(tmp_path),))
    (found,) = read_code(["teamcode"])[0].packages
    assert (found.distribution, found.version) == ("team-digits", "1.2")
    assert (found.origin, found.commit, found.branch) == (origin, commit, "")
    assert found.digest == digest_of([home.name])


@pytest.mark.parametrize(
    ("record", "distribution"),
    [
        ("teamcode/__init__.py,sha256=x,1\n", "team-digits"),
        ("teamcode_other/__init__.py,,\n", ""),
        (None, ""),  # the metadata of a checkout
    ],
)
def test_a_wheel_in_a_folder_of_its_own_is_known_by_the_record_beside_it(
    tmp_path: Path, record: str | None, distribution: str
) -> None:
    package(tmp_path)
    info = tmp_path / "team_digits-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(WHEEL)
    if record is not None:
        (info / "RECORD").write_text(record)
    made = commit_all(tmp_path)
    (found,) = read_code(["teamcode"])[0].packages
    assert found.distribution == distribution
    assert found.commit == ("" if distribution else made)


def test_without_a_repository_or_git_the_digest_is_there_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = read_code(["teamcode"])[0].packages
    assert found.digest and not found.commit and not found.changed


def test_reading_a_digest_imports_nothing(tmp_path: Path) -> None:
    home = package(tmp_path)
    (home / "__init__.py").write_text("raise SystemExit('imported')\n")
    code = (
        "import sys\nfrom workers.training.code_on_disk import digest_of\n"
        "print(len(digest_of(['teamcode.models'])), 'django' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["64", "False"]


def test_code_that_changed_while_a_trial_started_is_begun_again_and_not_recorded_wrongly() -> None:
    class Link:
        stop_requested = False

        def send(self, message: object) -> None: ...
        def series(self, flush: object) -> None: ...
        def report(self, step: float, value: float) -> bool:
            return False

    job = Job(
        "d/0", "tests.workers.training_functions:complete", ("tests",), {}, 1, 2,
        "validation_accuracy", "maximize", packages=("tests",), code="f" * 64,
    )  # fmt: skip
    outcome = child.run_job(job, Link())  # type: ignore[arg-type]
    assert outcome.state == "lost"
    assert "the code changed while the trial was starting, from ffffffffff to" in outcome.reason
    same = replace(job, code=digest_of(["tests"]))
    assert child.run_job(same, Link()).state == "complete"  # type: ignore[arg-type]
