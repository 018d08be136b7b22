"""The words of docs/glossary.md in code: docstrings that begin with a term."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

# Words that no reader meets, each with the one to use.
RETIRED = {
    r"repetitions?(?!/|s/)": "replication",
    r"judge?ments?": "verdict",
    r"set aside|muted by": "dismissed",
    r"rivals?|reigns?|pulse|courier|shelf|standstill|whose turn": "the term of docs/glossary.md",
    r"(held|hold) (it )?against": "compared with",
    r"any more": "no longer",
    r"works no longer": "no longer works",
    r"under way": "running",
    r"(tells|tell|hears|hear) of": "about, events",
    r"stands? (here|below)": "appears here",
    r"make the (link|token|account)": "create",
    r"killed again and again": "fault tolerance",
    r"by themselves|unasked|apart by commas": "automatically, comma-separated",
    r"look at the result|want a look|answers to that": "analyse, No results",
}
ROOT = Path(__file__).resolve().parent.parent
CLAUSE = re.compile(r"(What|Who|Whose|How|Where|Whether|When|Which|Why|That)\b")
ANYTHING = {"Any", "Sequence[Any]", "Iterable[Any]", "list[Any]"}
DOCUMENTS = re.compile(r"(dict|Mapping)\[str, Any\]|NDArray\[Any\]")
VAGUE = {"told", "said", "held", "kept", "aside", "beside", "each"}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _read_by_people(modules: list[tuple[str, ast.Module]]) -> Iterator[tuple[str, str]]:
    """Every text that a person meets, with its place: pages, mails, messages, scripts, docs."""
    for path in sorted(
        [*(ROOT / "templates").rglob("*.html"), *(ROOT / "templates").rglob("*.txt")]
    ):
        text = re.sub(r"{[%#].*?[%#]}|<[^>]*>", " ", path.read_text(encoding="utf-8"))
        titles = re.findall(
            r'(?:title|placeholder|aria-label)="([^"]+)"', path.read_text(encoding="utf-8")
        )
        yield from ((path.name, part) for part in (text, *titles))
    for path in sorted((ROOT / "static" / "js").glob("*.js")):
        code = re.sub(r"^\s*//.*$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        yield from (
            (path.name, literal) for literal in re.findall(r"""["'`]([^"'`\n]+)["'`]""", code)
        )
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        yield path.name, path.read_text(encoding="utf-8")
    for name, module in modules:
        documented = {id(node.body[0].value) for node in ast.walk(module) if _has_docstring(node)}  # type: ignore[attr-defined]
        for node in ast.walk(module):
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and id(node) not in documented
            ):
                yield f"{name}:{node.lineno}", node.value


def _has_docstring(node: ast.AST) -> bool:
    return isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None


@pytest.fixture(scope="module")
def modules() -> list[tuple[str, ast.Module]]:
    """Every module of ours by its place, parsed once."""
    return [
        (str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8")))
        for part in ("client", "config", "experiments", "workers")
        for path in sorted((ROOT / part).rglob("*.py"))
    ]


def test_docstrings_begin_with_a_noun_phrase_or_an_imperative(
    modules: list[tuple[str, ast.Module]],
) -> None:
    clauses = [
        f"{name}: {text.splitlines()[0]}"
        for name, module in modules
        for node in ast.walk(module)
        if isinstance(node, DOCUMENTED)
        and (text := ast.get_docstring(node)) is not None
        and CLAUSE.match(text)
    ]
    assert clauses == []


def test_variables_are_named_by_what_they_hold(modules: list[tuple[str, ast.Module]]) -> None:
    stored = [
        f"{name}:{node.lineno} {called}"
        for name, module in modules
        for node in ast.walk(module)
        if isinstance(node, ast.arg)
        or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
        if (called := node.arg if isinstance(node, ast.arg) else node.id) in VAGUE
    ]
    assert stored == []


def test_no_loop_variable_is_called_each() -> None:
    """In tests and benchmarks too, which may otherwise name their doubles as they like."""
    loop = re.compile(r"\bfor (\w+, )*each(, \w+)* in ")
    loops = [
        f"{path.relative_to(ROOT)}:{number} {line.strip()}"
        for part in ("benchmarks", "client", "config", "experiments", "tests", "workers")
        for path in sorted((ROOT / part).rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if loop.search(line)
    ]
    assert loops == []


def test_messages_say_what_they_expected(modules: list[tuple[str, ast.Module]]) -> None:
    wants = [
        f"{name}:{node.lineno} {node.value}"
        for name, module in modules
        for node in ast.walk(module)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.match(r"(|.*[;:,.)] )[Ww]ant ", node.value)
    ]
    assert wants == []


def test_any_stands_for_no_record_of_ours(modules: list[tuple[str, ast.Module]]) -> None:
    """A row of a raw query and a document of another format may be anything."""
    records = {"experiment", "trial", "replication", "project", "row", "older", "access", "run",
               "flush", "job", "plot", "cell", "column"}  # fmt: skip
    untyped = [
        f"{name}:{argument.lineno} {argument.arg}"
        for name, module in modules
        for argument in ast.walk(module)
        if isinstance(argument, ast.arg)
        and argument.arg in records
        and argument.annotation is not None
        and ast.unparse(argument.annotation) in ANYTHING
    ]
    assert untyped == []


def test_no_field_of_a_record_may_be_anything(modules: list[tuple[str, ast.Module]]) -> None:
    """A field may hold a JSON document, an array, or one of the foreign things listed here."""
    foreign = {
        "Change.value",  # of YAML
        "Item.step",  # of JSON that a program sent
        "Loaded.state",  # what a training pickled
        *(f"Parts.{split}" for split in ("train", "validation", "test")),  # scikit-learn's
    }
    untyped = {
        f"{record.name}.{field.target.id}"
        for _, module in modules
        for record in ast.walk(module)
        if isinstance(record, ast.ClassDef)
        and any("dataclass" in ast.unparse(mark) for mark in record.decorator_list)
        for field in record.body
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and re.search(r"\bAny\b", DOCUMENTS.sub("", ast.unparse(field.annotation)))
    }
    assert untyped == foreign


def test_every_endpoint_of_the_api_says_what_it_answers() -> None:
    """A record, its rows by name or a response: none answers Any, nor a dictionary of it."""
    untyped = [
        f"{path}: {function.name}"
        for path in Path("experiments").glob("*/api/*.py")
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef)
        and any("router." in ast.unparse(mark) for mark in function.decorator_list)
        and (function.returns is None or re.search(r"\bAny\b", ast.unparse(function.returns)))
    ]
    assert untyped == []


def test_no_text_that_people_read_uses_a_retired_word(
    modules: list[tuple[str, ast.Module]],
) -> None:
    found = [
        f"{place}: {text[max(0, match.start() - 40) : match.end() + 40]!r}: say {word}"
        for place, text in _read_by_people(modules)
        for pattern, word in RETIRED.items()
        for match in re.finditer(rf"\b({pattern})\b", text, re.IGNORECASE)
        if " " in text and not _is_address(text, match)
    ]
    assert found == []


def _is_address(text: str, match: re.Match[str]) -> bool:
    """Part of an address or a key, which keep their words for the programs that use them."""
    around = text[max(0, match.start() - 1) : match.end() + 1]
    return "/" in around or "_" in around or "`" in around
