"""One service for the tests of a file; those that disturb it start their own."""

from collections.abc import Iterator

import pytest

from tests.recipes.recipe import Running, service


@pytest.fixture(scope="module")
def running_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The service with a shop's settings."""
    origins = "https://www.shop.example,https://shop.example"
    with service(tmp_path_factory.mktemp("service"), storefront_origins=origins) as started:
        yield started
