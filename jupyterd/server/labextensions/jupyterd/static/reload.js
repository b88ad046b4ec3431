// Shows what the kernel has said to cells that an earlier page ran: this page was reloaded, or opened somewhere else.
// The server has noted which request belongs to which cell (server/channels/unsaved_output.py) until its output is
// saved. This page asks for them, puts a future on each cell, and connects once more for all that the kernel said.

import { replay } from './replay.js';
import { sleep } from './server.js';

// Looks like a future of @jupyterlab/services for an output area; the request is somebody else's.
const futureOf = (kernel, request) => {
  let finish;
  const done = new Promise(resolve => {
    finish = resolve;
  });
  const nothing = () => undefined;
  return {
    msg: { header: { msg_id: request.msg_id, msg_type: 'execute_request' } },
    done,
    finish,
    isDisposed: false,
    onIOPub: nothing,
    onReply: nothing,
    onStdin: nothing,
    registerMessageHook: nothing,
    removeMessageHook: nothing,
    sendInputReply: (content, parent) => kernel.sendInputReply(content, parent),
    dispose() {
      this.isDisposed = true;
      finish();
    }
  };
};

const isIdle = message => message.header.msg_type === 'status' && message.content.execution_state === 'idle';

// One notebook of this page.
class Notebook {
  constructor(panel, context, server) {
    this.panel = panel;
    this.context = context;
    this.server = server;
    this.ended = new Set(); // requests whose output is whole in the document, and not saved
    // Done when the document has all that was said before it was opened.
    this.whole = new Promise(resolve => {
      this.isWhole = resolve;
    });
    const session = context.sessionContext;
    session.kernelChanged.connect((_, change) => change.newValue && this.follow(change.newValue));
    if (session.session && session.session.kernel) {
      this.follow(session.session.kernel);
    }
    this.forgetSaved();
    const save = context.save.bind(context); // what is saved at once is whole
    context.save = async () => {
      await Promise.race([this.whole, sleep(SAVE_MS)]);
      return save();
    };
    session.ready.then(() => session.session && session.session.kernel ? undefined : this.isWhole(), this.isWhole);
  }

  // Everything that happens on this connection to a kernel.
  follow(kernel) {
    const requests = new Set(); // those of this page
    const runs = new Map(); // msg_id -> run: those of earlier pages
    const displays = new Map(); // display_id -> runs that show it
    kernel.anyMessage.connect((_, { msg, direction }) => {
      if (direction === 'send') {
        if (msg.header.msg_type === 'execute_request' && msg.metadata.cellId) {
          requests.add(msg.header.msg_id);
        }
        return;
      }
      const parent = msg.parent_header && msg.parent_header.msg_id;
      if (!requests.has(parent) && runs.size === 0) {
        return;
      }
      // Behind what the page itself does with the message: a widget is made before it is shown.
      Promise.resolve(kernel._msgChain).then(() => {
        if (requests.has(parent) && msg.channel === 'iopub' && isIdle(msg)) {
          requests.delete(parent);
          this.ended.add(parent);
        }
        this.show(msg, runs, displays);
      });
    });
    this.replay(kernel, runs)
      .catch(error => console.warn('jupyterd: output of an earlier page is not shown', error))
      .finally(this.isWhole);
  }

  async replay(kernel, runs) {
    await this.context.ready;
    const answer = await this.server.ask(kernel.id);
    for (const request of answer.requests) {
      const cell = request.session === kernel.clientId ? undefined : this.cell(request.cell);
      if (cell && cell.model.sharedModel.getSource() === request.code) {
        runs.set(request.msg_id, { request, kernel, count: null, begun: false, future: futureOf(kernel, request) });
      }
    }
    if (runs.size === 0) {
      return;
    }
    await connected(kernel);
    if (kernel.isDisposed) {
      return;
    }
    for (const run of runs.values()) {
      const { model, outputArea } = this.cell(run.request.cell);
      model.trusted = true; // as when it was run
      model.executionCount = null;
      model.executionState = 'running';
      outputArea.reattachFuture(run.future);
    }
    replay(kernel.clientId);
    await kernel.reconnect();
    const ended = Promise.all(Array.from(runs.values(), run => run.future.done));
    await Promise.race([ended, quiet(kernel)]);
  }

  show(message, runs, displays) {
    const run = runs.get(message.parent_header.msg_id);
    const type = message.header.msg_type;
    if (message.channel !== 'iopub') {
      return;
    }
    const display = message.content.transient && message.content.transient.display_id;
    if (display) {
      const showing = displays.get(display) || new Set();
      displays.set(display, showing);
      for (const other of showing) {
        if (other !== run) {
          other.future.onIOPub({ ...message, header: { ...message.header, msg_type: 'update_display_data' } });
        }
      }
      if (run && type !== 'update_display_data') {
        showing.add(run);
      }
    }
    if (!run || run.ended) {
      return;
    }
    const cell = this.cell(run.request.cell);
    if (!cell || run.future.isDisposed) {
      runs.delete(run.request.msg_id); // deleted, or run again
      return;
    }
    if (type === 'status' && !run.begun && !isIdle(message)) {
      run.begun = true; // only now: if the beginning is no longer kept, what was saved of it stays
      cell.outputArea.model.clear();
    }
    if (type === 'execute_input') {
      run.count = message.content.execution_count;
    }
    run.future.onIOPub(message);
    if (isIdle(message)) {
      run.ended = true;
      cell.model.executionCount = run.count;
      cell.model.executionState = 'idle';
      run.future.finish();
      this.ended.add(run.request.msg_id);
    }
  }

  cell(id) {
    return this.panel.content.widgets.find(each => each.model.type === 'code' && each.model.sharedModel.getId() === id);
  }

  // Tells the server, after each save, which outputs are in the file now.
  forgetSaved() {
    let saved = [];
    this.context.saveState.connect((_, state) => {
      if (state === 'started') {
        saved = [...this.ended];
      }
      const session = this.context.sessionContext.session;
      if (state === 'completed' && saved.length > 0 && session && session.kernel) {
        saved.forEach(each => this.ended.delete(each));
        this.server.tell(session.kernel.id, saved).catch(() => undefined); // then they are shown once more
      }
    });
  }
}

// A save waits no longer than this for what the kernel said before.
const SAVE_MS = 10000;

// Resolves when nothing has come for a while, after 3 s at most: what follows is live.
const QUIET_MS = 500;
const QUIET_MOST_MS = 3000;
const quiet = async kernel => {
  const begun = Date.now();
  let last = begun;
  const note = () => {
    last = Date.now();
  };
  kernel.anyMessage.connect(note);
  while (Date.now() - last < QUIET_MS && Date.now() - begun < QUIET_MOST_MS) {
    await sleep(QUIET_MS / 5);
  }
  kernel.anyMessage.disconnect(note);
};

const connected = kernel =>
  new Promise(resolve => {
    const look = () => {
      if (kernel.connectionStatus === 'connected' || kernel.isDisposed) {
        kernel.connectionStatusChanged.disconnect(look);
        resolve();
      }
    };
    kernel.connectionStatusChanged.connect(look);
    look();
  });

// The server's side of it: GET and POST jupyterd/unsaved/KERNEL_ID.
const serverOf = settings => {
  const request = async (kernel, init) => {
    const headers = new Headers({ 'Content-Type': 'application/json' });
    const xsrf = /(?:^|; )_xsrf=([^;]+)/.exec(document.cookie);
    if (xsrf) {
      headers.set('X-XSRFToken', xsrf[1]);
    }
    if (settings.token) {
      headers.set('Authorization', `token ${settings.token}`);
    }
    const url = `${settings.baseUrl}jupyterd/unsaved/${kernel}`;
    const { fetch } = settings; // called on no object, as Jupyter does
    const answer = await fetch(url, { credentials: 'same-origin', cache: 'no-store', headers, ...init });
    if (!answer.ok) {
      throw new Error(`${url}: ${answer.status}`);
    }
    return answer;
  };
  return {
    ask: async kernel => (await request(kernel, { method: 'GET' })).json(),
    tell: (kernel, saved) => request(kernel, { method: 'POST', body: JSON.stringify({ saved }) })
  };
};

export default {
  id: 'jupyterd:reload',
  description: 'Shows the output of cells that an earlier page has run.',
  autoStart: true,
  activate: app => {
    const server = serverOf(app.serviceManager.serverSettings);
    const known = new WeakSet(); // two views of a notebook have one document
    app.docRegistry.addWidgetExtension('Notebook', {
      createNew: (panel, context) => {
        if (!known.has(context)) {
          known.add(context);
          new Notebook(panel, context, server);
        }
      }
    });
  }
};
