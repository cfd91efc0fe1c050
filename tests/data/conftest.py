"""What several tests of the data share."""

from collections.abc import Iterator

import pytest
from archives import Server, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as state:
        yield state
