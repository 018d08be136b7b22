"""Optuna's own conformance suite, unmodified."""

from __future__ import annotations

import pytest
from optuna.testing.pytest_storages import StorageTestCase

from workers.search.storage import VerdictStorage

pytestmark = pytest.mark.sql


@pytest.mark.django_db
class TestOptunaConformance(StorageTestCase):
    @pytest.fixture
    def storage(self, db: None) -> VerdictStorage:
        return VerdictStorage()
