from __future__ import annotations

import pytest
from pytest_django import DjangoAssertNumQueries

from experiments.design.queries.records import ReplicationRecord
from experiments.models.replication import Purpose
from experiments.verdict.queries.replications import (
    measurements,
    newest_baseline,
    past,
    searches_running,
)
from tests import cast

pytestmark = pytest.mark.django_db


def test_earlier_replications_are_handed_on_as_records_that_cannot_query(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    cast.project()
    row = cast.repeated(cast.finished_search(), done=2)
    read = {
        Purpose.VERDICT: lambda: past(row.experiment),
        Purpose.BASELINE: lambda: [newest_baseline(row.experiment)],
        Purpose.TRAINING_SEED: lambda: measurements(row.experiment, row.candidate),
    }
    for purpose, ask in read.items():
        row.purpose = purpose
        row.save()
        with django_assert_num_queries(1):
            (found,) = ask()
            assert isinstance(found, ReplicationRecord)
            assert found.experiment.official_metric == row.experiment.official_metric
            assert found.candidate.digest == row.candidate.digest
    assert searches_running(found) == 0
