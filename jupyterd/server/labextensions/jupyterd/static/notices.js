// Shows the supervisor's notices on every open page, in the notebook and in JupyterLab: a notice that stays until
// it is closed. Plain JavaScript in the form of a federated module, so that nothing has to be built.
(() => {
  'use strict';
  const plugin = {
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
  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB.jupyterd = { init: () => undefined, get: async () => () => ({ __esModule: true, default: plugin }) };
})();
