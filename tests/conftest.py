"""What all tests share: the servers' fixtures, and no test that fails because its machine is busy."""

from hypothesis import settings

import flows  # noqa: F401  # as in every process of ours, before what takes it long to load

pytest_plugins = ["tests.servers.fixtures", "tests.servers.prefect_home"]
settings.register_profile("packshot", deadline=None)
settings.load_profile("packshot")
