from __future__ import annotations

from experiments.verdict.panels.decision_checklist import checks_of
from experiments.verdict.panels.evidence_view import evidence_page
from tests.experiments.verdict.panels.test_evidence_view import document


def test_the_checklist_has_five_lines_and_names_what_is_open() -> None:
    found = [{"severity": "warning"}, {"severity": "notice"}, {"severity": "notice"}]
    checks = checks_of(evidence_page(document(open_findings=found)))
    lines = {check.title: (check.passed, check.detail) for check in checks}
    assert lines["Fresh seeds"] == (True, "4 of 4 pairs have a finite score on both sides")
    assert lines["Comparison"][0] is True
    assert lines["Guard metrics"] == (None, "none declared")
    assert lines["Findings of the search"] == (False, "1 warning, 2 notices")
    assert lines["Test scores"] == (None, "sealed")


def test_the_checklist_says_what_makes_a_comparison_invalid() -> None:
    made = document()
    made["verdict"]["invalid"] = [{"kind": "code", "text": "the sides ran other code"}]
    made["replicates"]["candidate"][2]["score"] = "nan"
    seeds, comparison, *_ = checks_of(evidence_page(made))
    assert (seeds.passed, seeds.page) == (False, "seeds")
    assert (comparison.passed, comparison.detail) == (False, "the sides ran other code")
