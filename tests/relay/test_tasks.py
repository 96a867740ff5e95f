import select
import threading

import pytest

from ssm_ssh.relay.tasks import Task, Waker


def wait(waker: Waker) -> bytes:
    assert select.select([waker.fd], [], [], 30)[0]
    return waker.drain()


def test_a_finished_task_wakes_the_poll_and_holds_its_result() -> None:
    waker = Waker()
    go = threading.Event()
    task = Task(lambda: go.wait(30), waker)
    assert not task.done
    go.set()
    wait(waker)
    assert task.done
    assert task.result is True
    assert waker.drain() == b""


def test_an_error_is_raised_to_whoever_asks() -> None:
    waker = Waker()
    task: Task[float] = Task(lambda: 1 / 0, waker)
    wait(waker)
    assert isinstance(task.error, ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        _ = task.result


def test_waking_never_blocks() -> None:
    waker = Waker()
    for _ in range(200_000):
        waker.wake()
    assert wait(waker)
