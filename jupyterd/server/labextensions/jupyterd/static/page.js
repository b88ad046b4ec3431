// What jupyterd adds to every open page, in the notebook and in JupyterLab. Plain JavaScript in the form of a federated
// module, so that nothing has to be built.
(() => {
  'use strict';

  // Shows the supervisor's notices: each stays until it is closed.
  const notices = {
    id: 'jupyterd:notices',
    description: 'Shows notices from jupyterd.',
    autoStart: true,
    activate: app => {
      app.serviceManager.events.stream.connect((_, event) => {
        if (String(event.schema_id).endsWith('/jupyterd/notice')) {
          app.commands.execute('apputils:notify', { message: event.text, type: 'warning', options: { autoClose: false } });
        }
      });
    }
  };

  // Messages remembered for each connection to a kernel, the newest: more are not on their way at once.
  const REMEMBERED = 16384;
  const PROTOCOL = 'v1.kernel.websocket.jupyter.org';

  // Identifies a message: some kernels number theirs from 1 again when they are restarted, so the date belongs to it.
  const identity = data => {
    const view = new DataView(data);
    const offset = index => Number(view.getBigUint64(8 * (index + 1), true)); // 0: channel, 1: header, 2: parent header
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, offset(1), offset(2) - offset(1))));
    return `${header.msg_id} ${header.date}`;
  };

  // Drops what a page has already. When a server is killed, the next one sends a page everything that it did not
  // acknowledge (docs/architecture.md); what was on its way comes twice, and no server can know that it did.
  const once = {
    id: 'jupyterd:once',
    description: 'Shows each message of a kernel once, also when the server was replaced.',
    autoStart: true,
    activate: app => {
      const settings = app.serviceManager.serverSettings;
      const known = new Map(); // URL of a connection, with its session id -> Map of identity -> number of the websocket
      let opened = 0;
      settings.WebSocket = class extends settings.WebSocket {
        constructor(url, protocols) {
          super(url, protocols);
          const address = String(url);
          if (!/\/api\/kernels\/[^/]+\/channels\?/.test(address)) {
            return;
          }
          const number = ++opened;
          const messages = known.get(address) || new Map();
          known.set(address, messages);
          // Before the page's own listener, because it is added first. Only what an earlier websocket brought is
          // dropped: within one the server sends nothing twice.
          this.addEventListener('message', event => {
            if (this.protocol !== PROTOCOL || !(event.data instanceof ArrayBuffer)) {
              return;
            }
            const message = identity(event.data);
            const first = messages.get(message);
            if (first !== undefined && first !== number) {
              event.stopImmediatePropagation();
              return;
            }
            messages.set(message, number);
            if (messages.size > REMEMBERED) {
              messages.delete(messages.keys().next().value);
            }
          });
        }
      };
    }
  };

  const module = { __esModule: true, default: [notices, once] };
  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB.jupyterd = { init: () => undefined, get: async () => () => module };
})();
