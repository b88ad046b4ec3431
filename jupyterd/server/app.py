"""The Jupyter server as jupyterd runs it: stock Jupyter with its own hooks used, on sockets that it inherited.

The composition root inside the Jupyter process.
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import os
import signal
import socket
import ssl
import sys
import warnings
from http import HTTPStatus
from pathlib import Path
from typing import Any

import attrs
from jupyter_server.base.handlers import RedirectWithParams
from jupyter_server.extension.config import ExtensionConfigManager
from jupyter_server.extension.manager import ExtensionManager
from jupyter_server.log import log_request
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from jupyter_server.utils import JupyterServerAuthWarning, url_path_join
from traitlets import Dict, Integer, default
from traitlets.config import Config

from jupyterd.linux import private_files, proc
from jupyterd.protocol.server_channel import Go, LoggedIn, LookAgain, Notice, Ready, Reload, Reloaded, ToServer
from jupyterd.server import jupyterlab, live_settings, notices
from jupyterd.server.auth import login_cookie, proxies, rate_limit, unsafe_settings
from jupyterd.server.auth.identity_provider import IdentityProvider
from jupyterd.server.auth.security_headers import SecurityHeaders
from jupyterd.server.channels.websocket import KernelWebsocket
from jupyterd.server.http import certificate, descriptors, tls
from jupyterd.server.http.limits import Limits
from jupyterd.server.http.log_limit import LogLimit
from jupyterd.server.http.server import BoundedHTTPServer
from jupyterd.server.kernels.counting import CountingKernelManager
from jupyterd.server.kernels.kernelspecs import KernelSpecManager
from jupyterd.server.start_errors import StartFailed
from jupyterd.server.supervisor_link import SupervisorLink
from jupyterd.settings.paths import Paths

DRAIN_TIMEOUT_S = 3.0
"""On leaving, for the requests under way."""
LEAVE_TIMEOUT_S = 2.0
"""For each further step of leaving; past it the process ends all the same."""
COOKIE_SECRET_BYTES = 32
NEEDED = "notebook"
"""The extension that makes the pages."""
TERMINALS = "jupyterd.server.terminals.manager.AccountTerminalManager"
OURS = ("base_url", "root_dir", "allow_root")
"""Decided by jupyterd's settings, because the supervisor and the pages that it prints depend on them."""


class JupyterdServerApp(ServerApp):
    """Jupyter's own hook (ExtensionApp.serverapp_class). `start` below gives it the first three."""

    paths: Paths
    link: SupervisorLink
    sockets: list[socket.socket]
    _live: live_settings.LiveSettings
    _front: BoundedHTTPServer
    _believer: proxies.Believer
    _leaving = False
    connections_max = Integer(Limits().connections_max, help="[server] connections_max").tag(config=True)
    limits = Dict(help="Other numbers than limits.py has, by their names: for tests").tag(config=True)
    _refusals: LogLimit
    _reloading: asyncio.Lock

    # --- what is installed ------------------------------------------------------------------------------------

    @default("kernel_manager_class")
    def _kernel_manager_class_default(self) -> type:
        return CountingKernelManager

    @default("kernel_spec_manager_class")
    def _kernel_spec_manager_class_default(self) -> type:
        return KernelSpecManager

    @default("kernel_websocket_connection_class")
    def _default_kernel_websocket_connection_class(self) -> type:
        return KernelWebsocket

    @default("identity_provider_class")
    def _identity_provider_class_default(self) -> type:
        return IdentityProvider

    @default("cookie_secret")
    def _default_cookie_secret(self) -> bytes:
        """Kept with the state, so that a login outlives restarts and reboots. Jupyter's own takes an empty file."""
        path = self.paths.state / "cookie_secret"
        secret = private_files.read(path) or b""
        if len(secret) < COOKIE_SECRET_BYTES:
            secret = os.urandom(COOKIE_SECRET_BYTES)
            private_files.replace(path, secret)
        return secret

    @property
    def template_file_path(self) -> list[str]:
        """Jupyter's hook: our login page before the stock one, the user's own before ours."""
        own = str(Path(__file__).parent / "templates")
        stock = super().template_file_path
        cut = len(self.extra_template_paths)
        return [*stock[:cut], own, *stock[cut:]]

    # --- configuration ----------------------------------------------------------------------------------------

    @property
    def config_file_paths(self) -> list[str]:
        """Jupyter's hook: the generated directory and, first in rank, the one that the settings name. No other."""
        named = os.environ.get("JUPYTER_CONFIG_PATH")
        return [*([named] if named else []), self.config_dir]

    def migrate_config(self) -> None:
        """Jupyter's hook: nothing of IPython 3 is copied into the generated directory."""

    def find_server_extensions(self) -> None:
        """Jupyter's hook: beside the generated list, those that packages of our own environment bring enabled."""
        search = [*self.config_file_paths, str(Path(sys.prefix, "etc", "jupyter"))]
        found = ExtensionConfigManager(read_config_path=search).get_jpserver_extensions()
        for name, enabled in sorted(found.items()):
            if name not in self.jpserver_extensions:
                self.config.ServerApp.jpserver_extensions.update({name: enabled})
                self.jpserver_extensions.update({name: enabled})

    def init_server_extensions(self) -> None:
        """Jupyter's hook. One extension that fails is logged and left out, as in any Jupyter; without the notebook's
        there is nothing to serve.
        """
        if self.jpserver_extensions.get("jupyterlab"):
            jupyterlab.load()
        self.extension_manager = manager = ExtensionManager(log=self.log, serverapp=self)
        for name, enabled in self.jpserver_extensions.items():
            self._be_strict(name)
            manager.add_extension(name, enabled=enabled)
        for name in manager.sorted_extensions:
            self._be_strict(name)
            manager.link_extension(name)

    def load_server_extensions(self) -> None:
        """Jupyter's hook."""
        for name in self.extension_manager.sorted_extensions:
            self._be_strict(name)
            self.extension_manager.load_extension(name)

    def _be_strict(self, name: str) -> None:
        self.reraise_server_extension_failures = name == NEEDED

    def init_configurables(self) -> None:
        """Jupyter's hook, after all configuration was read."""
        self._live = live_settings.read(self.paths.live)
        self._keep_ours()
        self.open_browser = False
        self.no_browser_open_file = True
        self.quit_button = False
        self.ip, self.port = self.sockets[0].getsockname()[:2]
        self.certfile = self.keyfile = ""
        self._go_to_root_dir()
        super().init_configurables()
        if isinstance(self.identity_provider, IdentityProvider):
            self.identity_provider.live = self._live
            self.identity_provider.store = self.paths.login
            self.identity_provider.first_login = lambda: self.link.say(LoggedIn())

    def _keep_ours(self) -> None:
        own = self._generated()["ServerApp"]
        for name in OURS:
            if getattr(self, name) != own[name]:
                self.log.warning(
                    "%s = %r in %s is not used: set [server] %s in jupyterd.toml",
                    name, getattr(self, name), self.config_file_paths[0], name,
                )  # fmt: skip
                setattr(self, name, own[name])
        if self.trust_xheaders:
            self.log.warning("trust_xheaders is not used: name your proxies in [login] trusted_proxies")

    def _generated(self) -> Any:  # noqa: ANN401 - JSON
        return json.loads((Path(self.config_dir) / "jupyter_server_config.json").read_bytes())

    def _go_to_root_dir(self) -> None:
        try:
            os.chdir(self.root_dir)
        except OSError as error:
            raise StartFailed(f"the root directory {self.root_dir} cannot be entered: {error.strerror}") from error

    def exit(self, exit_status: int | str | None = 0) -> None:
        """Traitlets' hook, called after a wrong setting was logged: the reason goes to the supervisor instead."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, SystemExit):
            raise error
        raise StartFailed(f"Jupyter left with status {exit_status}: its last lines say why")

    # --- sockets and TLS --------------------------------------------------------------------------------------

    def init_event_logger(self) -> None:
        """Jupyter's hook."""
        super().init_event_logger()
        notices.register(self.event_logger)

    def init_webapp(self) -> None:
        """Jupyter's hook. Host names are checked by BoundedHTTPServer, for every handler and on every address."""
        self.allow_remote_access = True
        self.tornado_settings["log_function"] = self._log_request
        super().init_webapp()
        self.web_app.add_transform(SecurityHeaders)
        allowed = self._generated()["Jupyterd"]["allow_unsafe"]
        found = unsafe_settings.switched_off(self.web_app.settings)
        if refusal := unsafe_settings.refusal(found, allowed, self.config_file_paths[0]):
            raise StartFailed(refusal)
        self.web_app.add_handlers(".*$", certificate.handlers(self.base_url, lambda: self._live))
        if not self.jpserver_extensions.get("jupyterlab"):
            # Notebook registers /lab in any case, and answers it with 500: old bookmarks lead to the notebook.
            to_tree = {"url": url_path_join(self.base_url, "tree"), "permanent": False}
            self.web_app.add_handlers(
                ".*$", [(url_path_join(self.base_url, r"lab(?:/.*)?"), RedirectWithParams, to_tree)]
            )

    def _log_request(self, handler: Any) -> None:  # noqa: ANN401 - tornado's
        status = handler.get_status()
        known = self._front.answered(
            handler.request.connection, status, getattr(handler, "_jupyter_current_user", None)
        )
        if rate_limit.was_told(handler):
            return
        if known or status < HTTPStatus.BAD_REQUEST or self._refusals.take():
            log_request(handler, record_prometheus_metrics=self.record_http_request_metrics)

    def init_httpserver(self) -> None:
        """Jupyter's hook: our HTTPServer, with the inherited sockets as soon as the loop runs."""
        self._believer = proxies.Believer(self.web_app)
        self._believer.trusted = proxies.networks(self._live.trusted_proxies)
        self._front = self._http_server = BoundedHTTPServer(
            self._believer,
            ssl_options=_context(self._live),
            max_body_size=self.max_body_size,
            max_buffer_size=self.max_buffer_size,
        )
        self._front.limits, self._front.tell = self._limits(), self.log.warning
        self._front.names = self._live.names
        self._refusals = LogLimit(self.log.warning, "requests without a login were refused")
        if isinstance(self.identity_provider, IdentityProvider):
            self._front.knows = login_cookie.by(self.identity_provider, self.cookie_secret)
        self.io_loop.add_callback(self._front.add_sockets, self.sockets)

    def _limits(self) -> Limits:
        try:
            wanted = Limits(**{"connections_max": self.connections_max, **self.limits})
        except TypeError as error:
            raise StartFailed(f"JupyterdServerApp.limits: {error}") from error
        possible = descriptors.connections(wanted.connections_max)
        if possible < wanted.connections_max:
            self.log.warning(
                "connections_max is %d and not %d: no more files may be open (LimitNOFILE=, ulimit -Hn)",
                possible, wanted.connections_max,
            )  # fmt: skip
        return attrs.evolve(wanted, connections_max=possible)

    # --- start ------------------------------------------------------------------------------------------------

    def init_signal(self) -> None:
        """Jupyter's hook. Handlers rather than "ignore", which shells and kernels would inherit (signal(7))."""
        faulthandler.register(signal.SIGUSR1, file=sys.stderr, all_threads=True)
        loop = asyncio.get_event_loop_policy().get_event_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        for each in (signal.SIGINT, signal.SIGHUP):  # Ctrl-C and a lost terminal are the supervisor's business
            loop.add_signal_handler(each, lambda: None)

    def start_app(self) -> None:
        """Jupyter's hook. No server-info file, no address with a token, no advice about Ctrl-C."""
        if os.geteuid() == 0 and not self.allow_root:
            raise StartFailed("it runs as root: set [server] allow_root = true, or choose another account")

    async def _post_start(self) -> None:
        """Jupyter's hook, when the loop runs and the sockets accept."""
        self._reloading = asyncio.Lock()
        await self.link.attach(self._heard, self.stop)
        await super()._post_start()
        self.link.say(Ready())
        if isinstance(self.kernel_manager, CountingKernelManager):
            self.kernel_manager.tell(self.link.say)
        certificate.Watcher(lambda: self._live, lambda why: self.io_loop.add_callback(self.link.say, LookAgain(why)))

    # --- while it serves --------------------------------------------------------------------------------------

    def _heard(self, message: ToServer) -> None:
        match message:
            case Reload():
                self.io_loop.spawn_callback(self._reload, message)
            case Notice(text=text):
                notices.show(self.event_logger, text)
            case Go():
                pass  # said to a spare, before its loop runs

    async def _reload(self, message: Reload) -> None:
        """Read the live settings and the certificate again; on a problem everything stays as it was. Always answers."""
        async with self._reloading:
            problem = None
            try:
                fresh = await asyncio.to_thread(live_settings.read, self.paths.live)
                context = await asyncio.to_thread(_context, fresh)
            except Exception as error:  # noqa: BLE001 - the supervisor waits for the answer
                problem = str(error) or type(error).__name__
            else:
                self._front.ssl_options = context  # open connections keep the one they began with
                self._front.names = fresh.names
                self._live = fresh
                self._believer.trusted = proxies.networks(fresh.trusted_proxies)
                if isinstance(self.identity_provider, IdentityProvider):
                    self.identity_provider.live = fresh
                    self.identity_provider.look_again()
            self.log.info("settings read again%s", f": {problem}; the old ones stay" if problem else "")
            self.link.say(Reloaded(message.live_key, problem))

    # --- leaving ----------------------------------------------------------------------------------------------

    def stop(self, from_signal: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - Jupyter's signature
        """Leave in order: SIGTERM, or the supervisor's end. Kernels stay."""
        if not self._leaving:
            self._leaving = True
            self.io_loop.add_callback(self._leave)

    async def _leave(self) -> None:
        self._front.stop()  # our copies of the sockets; the supervisor's stay open and requests wait in them
        await self._front.drain(DRAIN_TIMEOUT_S)
        await self._cleanup()
        self.io_loop.stop()

    async def _cleanup(self) -> None:
        """Jupyter's hook, which /api/shutdown calls too: the supervisor then starts the next server."""
        for step in (self.extension_manager.stop_all_extensions(), self.cleanup_kernels(), self._close_websockets()):
            try:
                await asyncio.wait_for(step, LEAVE_TIMEOUT_S)
            except Exception:  # the next step matters all the same
                self.log.exception("while leaving")
        self.session_manager.close()

    async def cleanup_kernels(self) -> None:
        """Jupyter's hook: let go of the kernels without ending them."""
        if isinstance(self.kernel_manager, CountingKernelManager):
            self.kernel_manager.tell(None)
            await self.kernel_manager.shutdown_all()  # which leaves them running

    async def _close_websockets(self) -> None:
        connections: Any = self.kernel_websocket_connection_class
        if issubclass(connections, ZMQChannelsWebsocketConnection):
            await connections.close_all()


def _context(settings: live_settings.LiveSettings) -> ssl.SSLContext | None:
    if settings.certificate is None:
        return None
    return tls.context(settings.certificate, settings.key or settings.certificate)


def start(paths: Paths, link: SupervisorLink, sockets: list[socket.socket], log: dict[str, Any]) -> None:
    """Make the application, serve, and come back when it has left. Raises what makes a start impossible."""
    files = {"open_files": proc.raise_open_files_limit()}
    # Of extensions' handlers that do not say who may call them. Here Jupyter asks for a login in their place
    # (allow_unauthenticated_access in jupyterd.planner.jupyter_config), so nobody has to do anything about it.
    warnings.filterwarnings("ignore", "Extension endpoints without", JupyterServerAuthWarning)
    terminals = {"TerminalsExtensionApp": {"terminal_manager_class": TERMINALS}, "AccountTerminalManager": files}
    traits = Config(log | terminals | {"KernelManager": files})
    app = JupyterdServerApp.instance(config=traits, jpserver_extensions={NEEDED: True})
    app.paths, app.link, app.sockets = paths, link, sockets
    app.initialize(argv=[], starter_extension=NEEDED)
    app.start()
