"""The banner and the ssh line: values in, text out."""

from __future__ import annotations

import os
import pwd

import pytest

from jupyterd.cli import banner, ssh
from jupyterd.cli.banner import OwnToken, Password, Served, Token, TokenHidden
from jupyterd.protocol.plan import Certificate

HERE = ssh.SshTarget("ada", "192.0.2.9")
OWN = Certificate("/s/self-signed.pem", "ab12" * 16, 0.0, 4e9, ("gpu.lan",), self_signed=True, source="self-signed")
SECRET = "one-time-secret"


def served(*urls: str, certificate: Certificate | None = OWN, foreground: bool = True) -> Served:
    return Served(urls, certificate, foreground)


def test_first_login_shows_addresses_link_fingerprint_and_tunnel() -> None:
    text = banner.text(served("https://gpu.lan:8888/lab1/", "https://localhost:8888/lab1/"), Token(SECRET), HERE)
    assert "      https://gpu.lan:8888/lab1/\n      https://localhost:8888/lab1/\n" in text
    assert f"      https://gpu.lan:8888/lab1/login#token={SECRET}\n" in text
    assert text.count("AB:12:AB:12") > 1
    assert "      ssh -N -L 8888:localhost:8888 ada@192.0.2.9\n" in text
    assert "open  https://localhost:8888/lab1/\n" in text
    assert "Ctrl-C" in text
    assert max(map(len, text.splitlines())) <= 80
    assert text.rstrip().splitlines()[-1].strip() == f"https://gpu.lan:8888/lab1/login#token={SECRET}"


def test_a_self_signed_certificate_of_the_users_own_is_not_offered_to_be_replaced_by_what_is_not_served() -> None:
    theirs = Certificate("/home/ada/mycert.pem", "ab12" * 16, 0.0, 4e9, (), self_signed=True, source="settings")
    text = banner.text(served("https://gpu.lan:8888/", certificate=theirs), Password(), HERE)
    assert "Your certificate (/home/ada/mycert.pem)\n  is self-signed" in text and "cert new" not in text
    assert "cert new" in banner.text(served("https://gpu.lan:8888/"), Password(), HERE)


@pytest.mark.parametrize(
    "login", [Token(SECRET, "first"), Token(SECRET, "resets"), Password(), OwnToken(), TokenHidden()]
)
def test_a_long_command_has_a_line_of_its_own_and_a_terminal_breaks_no_sentence(login: banner.Login) -> None:
    command = "/home/ada/some/directory/jupyterd-checkout/.venv/bin/jupyterd"
    lines = banner.text(served("https://localhost:8888/"), login, HERE, command).splitlines()
    typed = [line for line in lines if command in line]
    assert f"      {command} cert new" in typed and f"      {command} status" in typed
    assert all(line.startswith(f"      {command} ") for line in typed)
    assert max(map(len, lines)) <= 80


def test_a_server_on_localhost_alone_says_that_others_need_the_tunnel() -> None:
    assert "Only this machine" in banner.text(served("https://localhost:8888/"), Password(), HERE)
    assert "Only this machine" in banner.text(served("https://[::1]:8888/"), Password(), HERE)
    assert "firewall" in banner.text(served("https://gpu.lan:8888/"), Password(), HERE)


def test_the_tunnel_ends_at_loopback_only_where_that_is_shown_too() -> None:
    several = served("https://gpu.lan:8888/", "https://192.168.1.7:8888/", "https://[::1]:8888/")
    assert "-L 8888:[::1]:8888 ada@" in banner.text(several, Password(), HERE)


@pytest.mark.parametrize(
    ("url", "line"),
    [
        ("https://192.168.1.7:8443/", "-L 8443:192.168.1.7:8443"),
        ("https://[2001:db8::7]:8888/", "-L 8888:[2001:db8::7]:8888"),
        ("https://gpu.lan/", "-L 8443:gpu.lan:443"),
        ("http://localhost/", "-L 8080:localhost:80"),
    ],
)
def test_the_tunnel_ends_where_the_server_listens_and_begins_where_a_user_may(url: str, line: str) -> None:
    assert f"ssh -N {line} ada@" in banner.text(served(url), Password(), HERE)


@pytest.mark.parametrize("login", [Password(), OwnToken(), TokenHidden()])
def test_without_a_token_there_is_no_link(login: banner.Login) -> None:
    assert "#token=" not in banner.text(served("https://localhost:8888/"), login, HERE)


def test_what_a_token_does_is_told_as_it_is() -> None:
    page = served("https://localhost:8888/")
    assert "forgotten" in banner.text(page, Token(SECRET, "resets"), HERE)
    assert "It cannot set a password" in banner.text(page, Token(SECRET, "once"), HERE)


def test_plain_http_and_a_signed_certificate_need_no_way_past_a_warning() -> None:
    assert "SHA-256" not in banner.text(served("http://localhost:8888/", certificate=None), Password(), HERE)
    signed = Certificate("/etc/pair.pem", "00" * 32, 0.0, 4e9, ("gpu.lan",), self_signed=False)
    text = banner.text(served("https://gpu.lan:8888/", certificate=signed, foreground=False), Password(), HERE)
    assert "warns" not in text
    assert "/etc/pair.pem" in text
    assert "Ctrl-C" not in text


def me() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def test_the_host_is_the_one_that_sshd_was_reached_at() -> None:
    found = ssh.find({}, os.getuid(), "198.51.100.4 51000 203.0.113.9 2222", "gpu", "10.0.0.5")
    assert found == ssh.SshTarget(me(), "203.0.113.9", 2222)
    assert found.command("-N") == f"ssh -N -p 2222 {me()}@203.0.113.9"


def test_a_mapped_address_is_shown_as_ipv4() -> None:
    assert ssh.find({}, os.getuid(), "::ffff:10.1.1.1 5 ::ffff:10.1.1.2 22", "gpu", "").host == "10.1.1.2"


def test_behind_a_translation_the_user_knows_better() -> None:
    assert ssh.find({}, os.getuid(), "8.8.8.8 51000 10.0.0.5 22", "gpu", "").note
    assert not ssh.find({}, os.getuid(), "10.0.0.9 51000 10.0.0.5 22", "gpu", "").note


@pytest.mark.parametrize(
    ("connection", "name", "address", "host"),
    [
        ("", "gpu.lan", "10.0.0.5", "gpu.lan"),
        ("", "gpu", "10.0.0.5", "10.0.0.5"),
        ("", "gpu", "", "gpu"),
        ("garbage", "gpu", "10.0.0.5", "10.0.0.5"),
        ("a 1 b 2", "gpu", "10.0.0.5", "10.0.0.5"),
    ],
)
def test_without_ssh_it_is_the_full_name_or_the_primary_address(
    connection: str, name: str, address: str, host: str
) -> None:
    assert ssh.find({}, os.getuid(), connection, name, address).host == host


def test_who_called_sudo_is_who_can_log_in() -> None:
    assert ssh.find({"SUDO_USER": "bob"}, 0, "", "gpu.lan", "").user == "bob"
    assert ssh.find({"SUDO_USER": "root"}, os.getuid(), "", "gpu.lan", "").user == me()
