"""The documentation on this server: its list of chapters, a chapter, the glossary."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from experiments.team.pages.access import required
from experiments.web.manual import CHAPTERS, glossary
from experiments.web.manual import chapter as chapter_of
from experiments.web.requests import PersonRequest


@require_safe
@login_required
def manual_page(request: PersonRequest, chapter: str) -> HttpResponse:
    """A chapter; the glossary's terms stand as a list, each with an anchor."""
    context = {
        "chapter": required(chapter_of(chapter)),
        "chapters": CHAPTERS,
        "glossary": glossary() if chapter == "glossary" else {},
    }
    return render(request, "manual/chapter.html", context)
