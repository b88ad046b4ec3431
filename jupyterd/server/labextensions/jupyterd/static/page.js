// What jupyterd adds to every open page, in the notebook and in JupyterLab. Plain JavaScript in the form of a federated
// module, so that nothing has to be built. Jupyter calls `init` and waits for it before it loads code of its own.
(() => {
  'use strict';

  // An element, not import(): JupyterLab begins with the "load" event of the page, which waits for elements only.
  const script = document.createElement('script');
  script.type = 'module';
  script.src = new URL('./plugins.js', document.currentScript.src);
  const loaded = new Promise((resolve, reject) => {
    script.onload = resolve;
    script.onerror = reject;
  });
  document.head.append(script);

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB.jupyterd = {
    plugins: [], // plugins.js fills it
    shared: {}, // Jupyter's own modules
    init: scope => {
      window._JUPYTERLAB.jupyterd.shared = scope;
      return loaded;
    },
    get: async () => () => ({ __esModule: true, default: window._JUPYTERLAB.jupyterd.plugins })
  };
})();
