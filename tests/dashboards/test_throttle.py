"""How often a sign-in may fail."""

import pytest

from dashboards.throttle import KEYS_MAX, PER_ADDRESS, PER_NAME, PER_NAME_AND_ADDRESS, SignInThrottle

LIMIT = PER_NAME_AND_ADDRESS.failures


@pytest.mark.parametrize(
    ("tries", "asked", "waits"),
    [
        pytest.param([], ("ana", "10.0.0.1"), False, id="nothing failed"),
        pytest.param([("ana", "10.0.0.1")] * (LIMIT - 1), ("ana", "10.0.0.1"), False, id="a few mistakes are allowed"),
        pytest.param([("ana", "10.0.0.1")] * LIMIT, ("ana", "10.0.0.1"), True, id="then not"),
        pytest.param([("ana", "10.0.0.1")] * LIMIT, ("ANA", "10.0.0.1"), True, id="in any case of letters"),
        pytest.param([(" ana", "10.0.0.1")] * LIMIT, ("ana  ", "10.0.0.1"), True, id="with any spaces around it"),
        pytest.param([("\uff41na", "10.0.0.1")] * LIMIT, ("ana", "10.0.0.1"), True, id="in any width of letters"),
        pytest.param([("ana", "10.0.0.1")] * LIMIT, ("ana", "10.0.0.2"), False, id="the owner elsewhere still gets in"),
        pytest.param([("ana", "10.0.0.1")] * LIMIT, ("bo", "10.0.0.1"), False, id="and a colleague beside the guesser"),
        pytest.param([("ana", "2001:db8::1")] * LIMIT, ("ana", "2001:db8::2"), True, id="an IPv6 network is one"),
        pytest.param(
            [(f"n{n}", "10.0.0.1") for n in range(PER_ADDRESS.failures)], ("bo", "10.0.0.1"), True, id="many names"
        ),
        pytest.param(
            [("ana", f"10.0.{n}.1") for n in range(PER_NAME.failures)], ("ana", "10.9.9.9"), True, id="many addresses"
        ),
    ],
)
def test_when_a_sign_in_must_wait(tries, asked, waits):
    throttle = SignInThrottle()
    for name, address in tries:
        throttle.tries(name, address, 1000.0)
    assert (throttle.wait_s(*asked, 1000.0) > 0) == waits


def test_the_wait_ends():
    throttle = SignInThrottle()
    for second in range(LIMIT):
        throttle.tries("ana", "10.0.0.1", float(second))
    assert throttle.wait_s("ana", "10.0.0.1", 10.0) == PER_NAME_AND_ADDRESS.window_s - 10
    assert throttle.wait_s("ana", "10.0.0.1", PER_NAME_AND_ADDRESS.window_s) == 0


def test_success_forgets_the_mistakes_before_it():
    throttle = SignInThrottle()
    for _ in range(PER_ADDRESS.failures * 2):
        throttle.tries("ana", "10.0.0.1", 0.0)
        throttle.succeeded("ana", "10.0.0.1")
    assert throttle.wait_s("ana", "10.0.0.1", 0.0) == 0


def test_memory_is_bounded():
    throttle = SignInThrottle()
    for number in range(KEYS_MAX):
        throttle.tries(f"name-{number}", f"10.{number // 65536}.{number // 256 % 256}.{number % 256}", 0.0)
    assert len(throttle._tried_at_s) == KEYS_MAX
