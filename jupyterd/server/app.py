"""The Jupyter server as jupyterd runs it: stock Jupyter with its own hooks used, on sockets that it inherited.

The composition root of the server process.
"""

from __future__ import annotations

import asyncio
import faulthandler
import functools
import os
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from jupyter_core.paths import jupyter_data_dir
from jupyter_server.extension.manager import ExtensionManager
from jupyter_server.log import log_request
from jupyter_server.serverapp import ServerApp
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from jupyter_server.utils import JupyterServerAuthWarning
from traitlets import Dict, Integer, default
from traitlets.config import Config

from jupyterd.linux import proc
from jupyterd.protocol import server_channel
from jupyterd.protocol.server_channel import Advised, Go, LookAgain, Notice, Ready, Reload, Reloaded, ToServer
from jupyterd.server import (
    collaboration,
    configuration,
    discovery,
    leave,
    live_settings,
    notices,
    own_signals,
    replaced,
    retirement,
    spare,
)
from jupyterd.server.auth import header_login, unsafe_settings
from jupyterd.server.auth.identity_provider import IdentityProvider
from jupyterd.server.auth.logouts import Logouts
from jupyterd.server.auth.proxies import TrustedProxies
from jupyterd.server.auth.security_headers import SecurityHeaders, XsrfCookie
from jupyterd.server.channels import unsaved_output
from jupyterd.server.channels.websocket import KernelWebsocket
from jupyterd.server.http import certificate, websockets
from jupyterd.server.http.gate import HEADER_BYTES
from jupyterd.server.http.log_limit import BOUNDED
from jupyterd.server.http.server import BoundedHTTPServer
from jupyterd.server.http.timeouts import Limits
from jupyterd.server.kernels import as_children
from jupyterd.server.kernels.kernelspecs import KernelSpecManager
from jupyterd.server.kernels.manager import KernelManager
from jupyterd.server.problems import ProblemReporter
from jupyterd.server.reload import SettingsInForce
from jupyterd.server.sessions import SessionManager
from jupyterd.server.silent_mounts import MountGuard
from jupyterd.server.start_errors import StartFailed
from jupyterd.server.supervisor_link import SupervisorLink
from jupyterd.settings.paths import Paths

Read = TypeVar("Read")
NEEDED = "notebook"  # the extension that makes the pages
_TERMINALS = "jupyterd.server.terminals.manager.AccountTerminalManager"


class JupyterdServerApp(ServerApp):
    """Jupyter's own hook (ExtensionApp.serverapp_class). `start` below gives it the first four and `problems`."""

    paths: Paths
    link: SupervisorLink
    sockets: list[socket.socket]
    generated: dict[str, Any]
    """What jupyterd.planner.jupyter_config has generated."""
    retired: int | None
    _live: live_settings.LiveSettings
    _settings: SettingsInForce
    _http_server: BoundedHTTPServer
    _changes: replaced.Changes
    _documents: collaboration.Documents
    _silent_mounts: MountGuard
    _leaving = False
    problems: ProblemReporter
    connections_max = Integer(Limits().connections_max, help="[server] connections_max").tag(config=True)
    limits = Dict(help="Other numbers than http/timeouts.py has, by their names: for tests").tag(config=True)

    # --- what is installed ------------------------------------------------------------------------------------

    @default("kernel_manager_class")
    def _kernel_manager_class_default(self) -> type:
        return KernelManager

    @default("kernel_spec_manager_class")
    def _kernel_spec_manager_class_default(self) -> type:
        return KernelSpecManager

    @default("kernel_websocket_connection_class")
    def _default_kernel_websocket_connection_class(self) -> type:
        return KernelWebsocket

    @default("session_manager_class")
    def _default_session_manager_class(self) -> type:
        return SessionManager

    @default("identity_provider_class")
    def _identity_provider_class_default(self) -> type:
        return IdentityProvider

    @default("cookie_secret")
    def _default_cookie_secret(self) -> bytes:
        return header_login.secret(self.paths.state / "cookie_secret", self.damaged)

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
        """Jupyter's hook, highest rank first."""
        return configuration.directories()

    def load_config_file(self, suppress_errors: bool = True) -> None:  # type: ignore[override]  # noqa: FBT001, FBT002
        """Jupyter's hook: what is generated first, then what the user's own files say."""
        self.generated = self._ours(live_settings.traits, self.paths.traits)
        self.update_config(Config(self.generated))
        super().load_config_file(suppress_errors)

    def _ours(self, read: Callable[[Path], Read], path: Path) -> Read:
        """What the planner has written. Damaged or gone, it is written again for the next start. StartFailed."""
        try:
            return read(path)
        except (OSError, ValueError) as error:
            self.link.say(LookAgain(f"{path} cannot be used"))
            raise StartFailed(f"{error}; it is written again for the next start") from error

    def damaged(self, sentence: str) -> None:
        """A file of ours was set aside: tell it, and have the planner look at what there is. From any thread."""
        self.log.warning("%s", sentence)
        self.io_loop.add_callback(self.link.say, LookAgain("a damaged file was set aside"))

    def migrate_config(self) -> None:
        """Jupyter's hook: nothing of IPython 3 is copied into the generated directory."""

    def find_server_extensions(self) -> None:
        """Jupyter's hook: beside the generated list, those that packages of our own environment bring enabled."""
        found = configuration.extensions(self.config_file_paths, self.jpserver_extensions)
        self.config.ServerApp.jpserver_extensions.update(found)
        self.jpserver_extensions.update(found)

    def init_server_extensions(self) -> None:
        """Jupyter's hook. One extension that fails is logged and left out, as in any Jupyter; without the notebook's
        there is nothing to serve.
        """
        if self.jpserver_extensions.get("jupyterlab"):
            spare.import_jupyterlab()
        self.extension_manager = manager = ExtensionManager(log=self.log, serverapp=self)
        self._changes = replaced.Changes(self)
        for name, enabled in self.jpserver_extensions.items():
            with self._step_of(name):
                manager.add_extension(name, enabled=enabled)
        for name in manager.sorted_extensions:
            with self._step_of(name):
                manager.link_extension(name)

    def load_server_extensions(self) -> None:
        """Jupyter's hook."""
        self.web_app.settings.setdefault("page_config_data", {}).update(configuration.PAGES)
        for name in self.extension_manager.sorted_extensions:
            with self._step_of(name):
                self.extension_manager.load_extension(name)
        self._refuse_to_be_open()  # once more: an extension has been at the settings
        self._documents = collaboration.Documents(self.extension_manager.extension_apps)
        websockets.guard(self.web_app)
        if isinstance(self.kernel_manager, KernelManager):
            as_children.show(self.kernel_manager.pids)

    @contextmanager
    def _step_of(self, name: str) -> Iterator[None]:
        self.reraise_server_extension_failures = name == NEEDED
        with self._changes.during(name):
            yield

    def init_configurables(self) -> None:
        """Jupyter's hook, after all configuration was read."""
        self._live = self._ours(live_settings.read, self.paths.live)
        self._keep_ours()
        self.open_browser = False
        self.no_browser_open_file = True
        self.quit_button = False
        self.ip, self.port = self.sockets[0].getsockname()[:2]
        self.certfile = self.keyfile = ""
        configuration.enter_root_dir(self.root_dir)
        super().init_configurables()
        self._silent_mounts = MountGuard(self.problems)
        self._silent_mounts.guard(self.contents_manager)
        if isinstance(self.kernel_manager, KernelManager):
            self.kernel_manager.recorder.on_question = KernelWebsocket.show_question
        if isinstance(self.identity_provider, IdentityProvider):
            self.identity_provider.live = self._live
            self.identity_provider.store = self.paths.login
            self.identity_provider.logouts = Logouts(
                self.paths.logouts, functools.partial(self.log.error, extra=BOUNDED)
            )
            self.identity_provider.damaged = self.damaged

    def _keep_ours(self) -> None:
        own = self.generated["ServerApp"]
        for name in configuration.OURS:
            if getattr(self, name) != own[name]:
                self.log.warning(
                    "%s = %r in %s is not used: set [server] %s in jupyterd.toml",
                    name, getattr(self, name), self._changes.who(name), name,
                )  # fmt: skip
                setattr(self, name, own[name])
        if self.trust_xheaders:
            self.log.warning("trust_xheaders is not used: name your proxies in [login] trusted_proxies")

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
        self.tornado_settings.setdefault("xsrf_cookie_kwargs", XsrfCookie(self.base_url))
        super().init_webapp()
        self.web_app.add_transform(SecurityHeaders)
        self._refuse_to_be_open()
        self.web_app.add_handlers(".*$", certificate.handlers(self.base_url, lambda: self._settings.live))
        self.web_app.add_handlers(".*$", unsaved_output.handlers(self.base_url))
        if not self.jpserver_extensions.get("jupyterlab"):
            self.web_app.add_handlers(".*$", configuration.lab_redirect(self.base_url))

    def _refuse_to_be_open(self) -> None:
        found = unsafe_settings.switched_off(self.web_app.settings)
        allowed = self.generated["Jupyterd"]["allow_unsafe"]
        if refusal := unsafe_settings.refusal(found, allowed, self._changes.whose_protection):
            raise StartFailed(refusal)

    def _log_request(self, handler: Any) -> None:  # noqa: ANN401 - tornado's
        self._http_server.answered(handler, getattr(handler, "_jupyter_current_user", None))
        log_request(handler, record_prometheus_metrics=self.record_http_request_metrics)

    def init_httpserver(self) -> None:
        """Jupyter's hook: our HTTPServer, with the inherited sockets as soon as the loop runs."""
        proxies = TrustedProxies()
        self._http_server = BoundedHTTPServer(
            self.web_app,
            ssl_options=certificate.context_of(self._live),
            max_body_size=self.max_body_size,
            max_buffer_size=self.max_buffer_size,
            max_header_size=HEADER_BYTES,
        )
        self._http_server.limits, warning = configuration.limits(self.connections_max, self.limits)
        self._http_server.tell = functools.partial(self.log.warning, extra=BOUNDED)
        if warning:
            self.log.warning(warning)
        login = self.identity_provider if isinstance(self.identity_provider, IdentityProvider) else None
        if login is not None:
            self._http_server.knows = header_login.by_cookie(login, self.cookie_secret)
            self._http_server.judge_token = header_login.by_token(login, self.cookie_secret)
        self._http_server.note = self.link.note_requests
        self._http_server.allows_origin = configuration.allows_origin(self.web_app.settings)
        self._http_server.set_origin = proxies.set_origin
        self._settings = SettingsInForce(self._live, self._http_server, proxies, login)
        self.io_loop.add_callback(self._http_server.add_sockets, self.sockets)

    # --- start ------------------------------------------------------------------------------------------------

    def init_signal(self) -> None:
        """Jupyter's hook. Handlers rather than "ignore", which shells and kernels would inherit (signal(7))."""
        faulthandler.register(signal.SIGUSR1, file=sys.stderr, all_threads=True)
        loop = asyncio.get_event_loop_policy().get_event_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop)
        for each in (signal.SIGINT, signal.SIGHUP):  # Ctrl-C and a lost terminal are the supervisor's business
            loop.add_signal_handler(each, lambda: None)
        own_signals.keep((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))

    def start_app(self) -> None:
        """Jupyter's hook. No server-info file, no address with a token, no advice about Ctrl-C."""
        if os.geteuid() == 0 and not self.allow_root:
            raise StartFailed("it runs as root: set [server] allow_root = true, or choose another account")

    async def _post_start(self) -> None:
        """Jupyter's hook, when the loop runs and the sockets accept."""
        await self.link.attach(self._heard, self.stop)
        await super()._post_start()
        self.link.say(Ready())
        self._discovery = discovery.Discovery(Path(jupyter_data_dir(), "runtime"), self.paths.state, self.log)
        if self.link.hears_problems:
            known = (*replaced.told(self, self._changes), *self._documents.advice(self._changes.remedy))
            self._documents.watch(lambda unsaved: self.link.say(Advised(known, unsaved)))
        if self.retired is not None:
            steps = (self._let_go, self._http_server.hang_up_idle, lambda: self.io_loop.add_callback(self._finish))
            retirement.listen(self.retired, steps, self.log)
        if self.link.hears_problems:
            self.problems.report_to(self.link.say)
        if isinstance(self.kernel_manager, KernelManager):
            self.kernel_manager.tell_pages = functools.partial(notices.show, self.event_logger)
            self.kernel_manager.report_counts(self.link.say)
            self.kernel_manager.report_kernels(self._discovery.show_kernels)
        tls = self._http_server.ssl_options is not None
        self._discovery.announce(discovery.facts(self.server_info(), self.sockets, tls=tls))
        certificate.Watcher(
            lambda: self._settings.live, lambda why: self.io_loop.add_callback(self.link.say, LookAgain(why))
        )

    # --- while it serves --------------------------------------------------------------------------------------

    def _heard(self, message: ToServer) -> None:
        match message:
            case Reload():
                self.io_loop.spawn_callback(self._reload, message)
            case Notice(text=text):
                notices.show(self.event_logger, text)
            case server_channel.SilentMounts(mounts=mounts):
                self._silent_mounts.hear(mounts)
            case Go():
                pass  # said to a spare, before its loop runs

    async def _reload(self, message: Reload) -> None:
        problem = await self._settings.reload(self.paths.live, self.log)
        self.link.say(Reloaded(message.live_key, problem))

    # --- leaving ----------------------------------------------------------------------------------------------

    def stop(self, from_signal: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - Jupyter's signature
        """End cleanly: SIGTERM came, or the supervisor is gone. Kernels stay."""
        if not self._leaving:
            self._leaving = True
            self.io_loop.add_callback(self._leave)

    async def _leave(self) -> None:
        self._discovery.withdraw()
        await leave.leave(self._http_server, self._cleanup)
        self.io_loop.stop()

    def _let_go(self) -> None:
        """Retired (core/busy.py): release what the next server needs. In a thread of its own."""
        if isinstance(self.kernel_manager, KernelManager):
            KernelWebsocket.let_go()
            self.kernel_manager.let_go()

    async def _finish(self) -> None:
        """Retired, and the event loop turns again: answer what has begun, and end."""
        if not self._leaving:
            self._leaving = True
            self._discovery.withdraw()
            await leave.finish(self._http_server, self._release)
            self.session_manager.close()
            self.io_loop.stop()

    async def _cleanup(self) -> None:
        """Jupyter's hook, which /api/shutdown calls too: the supervisor then starts the next server."""
        await self._release()
        self.session_manager.close()

    async def _release(self) -> None:
        steps = (
            self._documents.save(), self.extension_manager.stop_all_extensions(), self.cleanup_kernels(),
            self._close_websockets(),
        )  # fmt: skip
        await leave.run_steps(steps, self.log)

    async def cleanup_kernels(self) -> None:
        """Jupyter's hook: let go of the kernels without ending them."""
        if isinstance(self.kernel_manager, KernelManager):
            self.kernel_manager.report_counts(None)
            await self.kernel_manager.shutdown_all()  # which leaves them running

    async def _close_websockets(self) -> None:
        connections: Any = self.kernel_websocket_connection_class
        if issubclass(connections, ZMQChannelsWebsocketConnection):
            await connections.close_all()


def start(
    paths: Paths, link: SupervisorLink, sockets: list[socket.socket], log: dict[str, Any], retired: int | None
) -> None:
    """Make the application, serve, and come back when it has left. `retired`: the eventfd by which the supervisor
    retires this server, None: it never does. Raises what makes a start impossible.
    """
    open_files = {"open_files": proc.raise_open_files_limit()}
    # Of extensions' handlers that do not say who may call them. Here Jupyter asks for a login in their place
    # (allow_unauthenticated_access in jupyterd.planner.jupyter_config), so nobody has to do anything about it.
    warnings.filterwarnings("ignore", "Extension endpoints without", JupyterServerAuthWarning)
    terminals = {"TerminalsExtensionApp": {"terminal_manager_class": _TERMINALS}, "AccountTerminalManager": open_files}
    traits = Config(log | terminals | {"KernelManager": open_files})
    app = JupyterdServerApp.instance(config=traits, jpserver_extensions={NEEDED: True})
    app.paths, app.link, app.sockets, app.retired, app.problems = paths, link, sockets, retired, ProblemReporter()
    app.initialize(argv=[], starter_extension=NEEDED)
    app.start()
