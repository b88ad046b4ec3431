"""A Jupyter server with jupyterd's kernel classes and nothing else of jupyterd: STATE PORT [launcher].

/websockets answers with the number of websocket handlers and connections that are still in memory.
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

from jupyter_server.base.handlers import APIHandler
from jupyter_server.serverapp import ServerApp
from tornado.web import authenticated
from tornado.websocket import WebSocketHandler
from traitlets.config import Config

from jupyterd.server.channels.websocket import KernelWebsocket
from jupyterd.server.http import websockets
from jupyterd.server.kernels.kernelspecs import KernelSpecManager
from jupyterd.server.kernels.manager import KernelManager


class Websockets(APIHandler):
    """How many there are."""

    @authenticated
    def get(self) -> None:
        """Garbage is collected first."""
        gc.collect()
        kinds = (WebSocketHandler, KernelWebsocket)
        self.finish(str(sum(isinstance(each, kinds) for each in gc.get_objects())))


def main() -> None:
    state, port, launcher, *more = sys.argv[1:]
    config = Config()
    for word in more:
        name, _, value = word.partition("=")
        section, trait = name.split(".")
        config[section][trait] = json.loads(value) if value.isdigit() or value.startswith("{") else value
    app = config.ServerApp
    app.port, app.port_retries, app.ip, app.open_browser = int(port), 0, "127.0.0.1", False
    app.root_dir = str(Path(state) / "home")
    app.kernel_manager_class, app.kernel_spec_manager_class = KernelManager, KernelSpecManager
    app.kernel_websocket_connection_class = KernelWebsocket
    app.jpserver_extensions = {"jupyterlab": False, "jupyter_lsp": False, "notebook": False}  # not asked for here
    config.IdentityProvider.token = "t"
    config.SessionManager.database_filepath = f"{state}/sessions.db"
    config.KernelManager.records_dir, config.KernelManager.sockets_dir = f"{state}/kernels", f"{state}/k"
    config.KernelManager.launcher, config.KernelManager.spool_dir = launcher, f"{state}/spool"
    if "environment" not in config.KernelSpecManager:
        config.KernelSpecManager.environment = sys.prefix
    config.KernelSpecManager.kernelspecs_dir = f"{state}/share"
    server = ServerApp.instance(config=config)
    server.initialize([])
    websockets.guard(server.web_app)
    server.web_app.add_handlers(".*$", [("/websockets", Websockets)])
    server.start()


main()
