"""Design checks of a file, as a fragment of the form."""

from __future__ import annotations

from django.template.loader import render_to_string

from experiments.design.review.design_review import DesignChecks


def checks_html(checks: DesignChecks | None) -> str:
    """The panel as the page shows it; None while the file cannot run."""
    return render_to_string("experiments/_design_checks.html", {"checks": checks})
