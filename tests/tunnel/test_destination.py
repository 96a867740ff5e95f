import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.errors import UsageError
from ssm_ssh.target import parse_target
from ssm_ssh.tunnel.destination import parse_destination

TARGET = parse_target("i-01234567")


def test_a_destination_has_a_port_a_user_and_the_name_that_ssh_knows() -> None:
    destination = parse_destination(TARGET, "2222", "ec2-user", "web")
    assert (destination.target, destination.port, destination.user, destination.host) == (
        TARGET,
        2222,
        "ec2-user",
        "web",
    )
    assert destination.session_parameters == {"portNumber": ["2222"]}
    assert parse_destination(TARGET, "22", "root").host == destination.instance_id == "i-01234567"
    assert "2222" in repr(destination)


@pytest.mark.parametrize("port", ["", "0", "65536", "-1", "22 ", "2_2", "٢٢", "0x16", "1e2", "9" * 5000])
def test_ports_that_are_none(port: str) -> None:
    with pytest.raises(UsageError, match="is not a port"):
        parse_destination(TARGET, port, "ec2-user")


@pytest.mark.parametrize("user", ["ec2-user", "ubuntu", "admin", "a", "svc$", "alice.b", "alice@corp", "_apt", "1000"])
def test_user_names(user: str) -> None:
    assert parse_destination(TARGET, "22", user).user == user


@pytest.mark.parametrize("user", ["", "-oProxy", "a b", "a'b", 'a"b', "$(id)", "a\nb", "a;b", "a/b", "x" * 66, "{{"])
def test_user_names_that_are_none(user: str) -> None:
    with pytest.raises(UsageError, match="is not a user name"):
        parse_destination(TARGET, "22", user)


@given(st.text(), st.text())
def test_whatever_comes_it_is_a_destination_or_one_clear_line(port: str, user: str) -> None:
    try:
        parse_destination(TARGET, port, user)
    except UsageError as error:
        assert error.sentence().isprintable()
