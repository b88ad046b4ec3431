// Shows the notices of supervisor and server: each stays until it is closed. One about a kernel is a dialog on the page
// of its notebook, as Jupyter's own about kernels are.

const ELSEWHERE_MS = 2000; // a kernel that is none of this page's for so long belongs to another

const ownKernels = new Set(); // ids of kernels that notebooks of this page had
const dialogs = new Map(); // id of a kernel -> text that waits for it

const showDialog = async text => {
  const [apputils] = Object.values(window._JUPYTERLAB.jupyterd.shared['@jupyterlab/apputils']);
  const { showErrorMessage } = (await apputils.get())();
  await showErrorMessage('Error Starting Kernel', { message: text });
};

const showIfOwn = kernel => {
  if (ownKernels.has(kernel) && dialogs.has(kernel)) {
    showDialog(dialogs.get(kernel));
    dialogs.delete(kernel);
  }
};

const learn = panel => {
  const note = kernel => {
    if (kernel) {
      ownKernels.add(kernel.id);
      showIfOwn(kernel.id);
    }
  };
  panel.sessionContext.kernelChanged.connect((_, { newValue }) => note(newValue));
  note(panel.sessionContext.session?.kernel);
};

export default {
  id: 'jupyterd:notices',
  description: 'Shows notices from jupyterd.',
  autoStart: true,
  activate: app => {
    const notify = message =>
      app.commands.execute('apputils:notify', { message, type: 'warning', options: { autoClose: false } });

    app.docRegistry.addWidgetExtension('Notebook', { createNew: learn });
    app.serviceManager.events.stream.connect((_, { schema_id: schema, text, kernel }) => {
      if (!String(schema).endsWith('/jupyterd/notice')) {
        return;
      }
      if (!kernel) {
        notify(text);
        return;
      }
      dialogs.set(kernel, text);
      showIfOwn(kernel);
      setTimeout(() => dialogs.delete(kernel) && notify(text), ELSEWHERE_MS);
    });
  }
};
