"""How long to fuzz: seconds for each target, few in the tests, hundreds in `make soak`."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz-seconds", type=float, default=2.0, help="how long each target is fuzzed")
    parser.addoption("--fuzz-seed", type=int, default=0, help="where the mutations begin")
