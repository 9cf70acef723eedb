"""Who is given a device, and when."""

import threading
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import patch

import pytest

from catalog_schemas.errors import ModelError
from flows.compute import device_pool
from flows.compute.device_pool import DevicePool
from tasks.runtime.progress import Stopped, stoppable


def test_the_one_with_least_to_do_is_lent() -> None:
    pool = DevicePool()
    pool.add("a")
    pool.add("b")
    with pool.lent(2) as first, pool.lent(2) as second, pool.lent(2) as third:
        assert {first, second} == {"a", "b"}
        assert third == "a"


def test_those_who_find_none_free_wait_for_one() -> None:
    pool = DevicePool()
    with ThreadPoolExecutor(1) as threads:

        def borrow() -> str:
            with pool.lent(1) as device:
                return str(device)

        waiting = threads.submit(borrow)
        pool.add("a")
        assert waiting.result() == "a"
        with pool.lent(1):
            waiting = threads.submit(borrow)
            pool.add("b")
            assert waiting.result() == "b"


def test_one_that_is_gone_is_lent_no_more_and_missed_once() -> None:
    pool = DevicePool()
    pool.add("a")
    with pool.lent(1):
        assert pool.remove("a")
        assert not pool.remove("a")
    pool.add("b")
    with pool.lent(1) as device:
        assert device == "b"


def test_where_none_will_come_the_reason_is_raised() -> None:
    pool = DevicePool()
    pool.fail(ModelError("compute.device is 'cuda', but this machine has none"))
    with pytest.raises(ModelError, match="this machine has none"), pool.lent(1):
        pass


def test_an_interrupted_run_waits_no_longer() -> None:
    pool = DevicePool()
    with stoppable() as stop, patch.object(device_pool, "POLL_SECONDS", 0.01):
        timer = threading.Timer(0.1, stop)
        timer.start()
        with pytest.raises(Stopped), pool.lent(1):
            pass


def test_a_long_wait_is_said_once() -> None:
    pool, looks, said = DevicePool(), list[float](), list[str]()

    def look(seconds: float) -> bool:
        looks.append(seconds)
        if len(looks) == 2 * device_pool.PATIENT_SECONDS:
            stop()
        return False

    with (
        patch.object(pool._changed, "wait", look),
        patch.object(device_pool.logger, "warning", said.append),
        stoppable() as stop,
        pytest.raises(Stopped),
        pool.lent(1),
    ):
        pass
    assert [text.split(",")[0] for text in said] == ["no device has come yet"]
