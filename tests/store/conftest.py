"""A history by hand, in the test's own repository."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.repo import Repo
from tests.store.ledger import Ledger


@pytest.fixture
def ledger(repo: Repo) -> Iterator[Ledger]:
    made = Ledger(repo)
    yield made
    made.reader.close()
