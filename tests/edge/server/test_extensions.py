"""Extensions that put their own classes in the place of jupyterd's, in a real server: named, or refused."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from jupyterd.protocol.server_channel import Advised

EXTENSION = """
from jupyter_server.auth.identity import IdentityProvider, User
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from jupyter_server.services.sessions.sessionmanager import SessionManager
from jupyter_client.kernelspec import KernelSpecManager
from traitlets.config import Config
class Connection(ZMQChannelsWebsocketConnection): pass
class Sessions(SessionManager): pass
class Kernels(AsyncMappingKernelManager): pass
class Specs(KernelSpecManager): pass
class Everybody(IdentityProvider):
    def get_user(self, handler):
        return User("anybody")
class Made(ExtensionApp):
    name = "made_up"
    def _link_jupyter_server_extension(self, server_app):
        c = Config()
{link}
        server_app.update_config(c)
        super()._link_jupyter_server_extension(server_app)
    def initialize_settings(self):
        settings = self.settings  # what the server's own become
{load}
def _jupyter_server_extension_points():
    return [{{"module": "made_up", "app": Made}}]
"""
TOKEN = "a-lasting-token-0123456789"
Extended = Callable[..., Any]


@pytest.fixture
def extended(prepare: Any) -> Extended:
    """extended(link=..., load=..., configuration=..., **server settings): a server that is not started yet."""

    def make(*, link: str = "pass", load: str = "pass", configuration: str = "", **server: Any) -> Any:
        own = prepare().home / "mine"
        served = prepare(server={"jupyter_config_dir": str(own), **server})
        (own / "modules").mkdir(parents=True)
        text = EXTENSION.format(link=f"        {link}", load=f"        {load}")
        (own / "modules" / "made_up.py").write_text(text)
        begin = f"import sys\nsys.path.insert(0, {str(own / 'modules')!r})\n"
        (own / "jupyter_server_config.py").write_text(
            f"{begin}c.ServerApp.jpserver_extensions = {{'made_up': True}}\n{configuration}\n"
        )
        served.own(served.home)
        return served

    return make


def advised(served: Any) -> dict[str, tuple[str, str]]:
    """What a server that has started says about its extensions: code -> (text, advice)."""
    return {code: (text, advice) for code, text, advice in served.hear(Advised).items}


def test_a_server_without_any_has_nothing_to_say(extended: Extended) -> None:
    assert advised(extended().start()) == {}


@pytest.mark.parametrize(
    ("trait", "other", "code", "lost"),
    [
        ("kernel_websocket_connection_class", "Connection", "replaced-connection-of-tabs-to-kernels", "a cell prints"),
        ("session_manager_class", "Sessions", "replaced-session-manager", "may not find its kernel"),
        ("kernel_manager_class", "Kernels", "replaced-kernel-manager", "kernels end with the server"),
        ("kernel_spec_manager_class", "Specs", "replaced-list-of-kernels", "another Python environment"),
    ],
)  # fmt: skip
def test_an_extension_that_replaces_a_class_is_named_with_what_is_lost(
    extended: Extended, trait: str, other: str, code: str, lost: str
) -> None:
    told = advised(extended(link=f"c.ServerApp.{trait} = 'made_up.{other}'").start())
    assert list(told) == [code]
    text, advice = told[code]
    assert text.startswith("the extension made_up replaces jupyterd's ") and f"by made_up.{other}: " in text
    assert lost in text
    assert advice.startswith("if you can do without it: ") and advice.endswith("uninstall made_up")


def test_a_configuration_file_that_does_it_is_named(extended: Extended) -> None:
    served = extended(configuration="c.ServerApp.session_manager_class = 'made_up.Sessions'").start()
    text, advice = advised(served)["replaced-session-manager"]
    file = served.home / "mine/jupyter_server_config.py"
    assert text.startswith(f"{file} replaces jupyterd's session manager by made_up.Sessions")
    assert f"delete it in {file}" in advice


@pytest.mark.parametrize(
    ("link", "load", "name"),
    [
        ("c.ServerApp.identity_provider_class = 'made_up.Everybody'", "pass", "identity_provider_class"),
        ("c.IdentityProvider.login_handler_class = 'tornado.web.RequestHandler'", "pass", "identity_provider_class"),
        ("c.ServerApp.disable_check_xsrf = True", "pass", "disable_check_xsrf"),
        ("c.ServerApp.allow_origin_pat = '.*'", "pass", "allow_origin"),
        ("pass", "settings['disable_check_xsrf'] = True", "disable_check_xsrf"),
        ("pass", "settings['allow_origin'] = '*'", "allow_origin"),
        ("pass", "settings['identity_provider'] = Everybody(parent=self.serverapp)", "identity_provider_class"),
    ],
)
def test_an_extension_that_opens_the_door_keeps_the_server_from_starting(
    extended: Extended, link: str, load: str, name: str
) -> None:
    served = extended(link=link, load=load)
    served.start(wait=False)
    problem = served.failed()
    assert problem.startswith(f"this server would be open: the extension made_up sets {name}, which "), problem
    assert f'allow_unsafe = ["{name}"]' in problem


def test_who_wants_another_login_may_have_it(extended: Extended) -> None:
    allowed = ("identity_provider_class",)
    served = extended(link="c.ServerApp.identity_provider_class = 'made_up.Everybody'", allow_unsafe=allowed).start()
    assert served.browser().get("/api/contents").status == 200


def test_the_file_is_named_that_opens_the_door(extended: Extended) -> None:
    served = extended(configuration="c.ServerApp.allow_origin = '*'")
    served.start(wait=False)
    assert f"{served.home}/mine/jupyter_server_config.py sets allow_origin, which" in served.failed()


COLLABORATION = """
import asyncio
from pathlib import Path
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.extension.application import ExtensionApp
class Document:
    dirty, path = False, "a.ipynb"
class Room:
    _saving_document = None
    def __init__(self):
        self._document = Document()
    async def _maybe_save_document(self, saving, save_now=False):
        await asyncio.sleep(0.2)
        Path("saved").write_text(self._document.path)
        self._document.dirty = False
class Server:
    rooms = {"a": Room(), "awareness": object()}
class Change(JupyterHandler):
    def get(self, dirty):
        Server.rooms["a"]._document.dirty = dirty == "1"
class Made(ExtensionApp):
    name = "jupyter_server_ydoc"
    document_save_delay = 1.0
    handlers = [(r"/change/([01])", Change)]
    def initialize_handlers(self):
        self.ywebsocket_server = Server
def _jupyter_server_extension_points():
    return [{"module": "jupyter_server_ydoc", "app": Made}]
"""


def test_documents_that_live_in_the_server_are_told_and_saved_before_it_leaves(extended: Extended) -> None:
    served = extended(configuration="c.ServerApp.jpserver_extensions = {'jupyter_server_ydoc': True}")
    served.settings = attrs.evolve(served.settings, login=attrs.evolve(served.settings.login, token=TOKEN))
    (served.home / "mine/modules/jupyter_server_ydoc.py").write_text(COLLABORATION)
    served.own(served.home)
    first = served.start().hear(Advised)
    assert [code for code, _, _ in first.items] == ["documents-in-server"] and first.unsaved == ()
    assert "loses what was typed or printed" in first.items[0][1] and "1 s after" in first.items[0][1]
    browser = served.browser()
    for dirty, names in (("1", ("a.ipynb",)), ("0", ()), ("1", ("a.ipynb",))):
        assert browser.get(f"/change/{dirty}", Authorization=f"token {TOKEN}").status == 200
        assert served.hear(Advised).unsaved == names
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(20) == 0
    assert (served.home / "saved").read_text() == "a.ipynb"
