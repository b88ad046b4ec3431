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

// With jupyter-collaboration the document is in the server: its pages share the outputs, and we step aside.
const COLLABORATION = ['@jupyter/collaboration-extension', '@jupyter/docprovider-extension'];
const isShared = () => {
  const config = JSON.parse(document.getElementById('jupyter-config-data').textContent);
  return (config.federated_extensions || []).some(each => COLLABORATION.includes(each.name));
};

// In a shared document nothing is unsaved, as far as a page can know.
class SharedNotebook {
  constructor(context, server) {
    this.server = server;
    const session = context.sessionContext;
    session.kernelChanged.connect((_, change) => change.newValue && this.follow(change.newValue));
    if (session.session && session.session.kernel) {
      this.follow(session.session.kernel);
    }
  }

  follow(kernel) {
    kernel.anyMessage.connect((_, { msg, direction }) => {
      const parent = msg.parent_header;
      if (direction === 'recv' && isIdle(msg) && parent.msg_type === 'execute_request' && parent.session === kernel.clientId) {
        this.server.tell(kernel.id, [parent.msg_id]).catch(() => undefined); // it costs room in the spool, no more
      }
    });
  }
}

let offers = 0;

// One notebook of this page.
class Notebook {
  constructor(app, panel, context, server) {
    this.app = app;
    this.panel = panel;
    this.context = context;
    this.server = server;
    this.lastQuestion = null; // that an earlier page was sent
    this.asked = new Set(); // questions that were shown here
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
      if (msg.channel === 'stdin') {
        this.ask(msg, runs.get(parent));
      }
    });
    this.replay(kernel, runs)
      .catch(error => console.warn('jupyterd: output of an earlier page is not shown', error))
      .finally(this.isWhole);
  }

  async replay(kernel, runs, evenChanged = false) {
    await this.context.ready;
    const answer = await this.server.ask(kernel.id);
    const isOther = each => each.session !== kernel.clientId && !runs.has(each.msg_id) && !this.ended.has(each.msg_id);
    const others = answer.requests.filter(isOther);
    const changed = [];
    const added = [];
    for (const request of others) {
      const cell = this.cellOf(request, others);
      if (!cell) {
        this.forgetDeleted(kernel, request);
      } else if (cell.model.sharedModel.getSource() !== request.code && !evenChanged) {
        changed.push(request.msg_id);
      } else {
        added.push({ request, cell: cell.model.sharedModel.getId(), future: futureOf(kernel, request) });
      }
    }
    if (changed.length > 0) {
      this.offer(kernel, runs, changed);
    }
    if (added.length === 0) {
      return;
    }
    this.lastQuestion = answer.question;
    await connected(kernel);
    if (kernel.isDisposed) {
      return;
    }
    for (const run of runs.values()) {
      run.begun = false; // all of it comes again
    }
    for (const run of added) {
      Object.assign(run, { count: null, begun: false, ended: false });
      runs.set(run.request.msg_id, run);
      const { model, outputArea } = this.cell(run.cell);
      model.trusted = true; // as when it was run
      model.executionCount = null;
      model.executionState = 'running';
      outputArea.reattachFuture(run.future);
    }
    replay(kernel.clientId);
    const again = kernel.reconnect(); // the earlier connection is closed now
    const settled = quiet(kernel, runs);
    await again;
    const ended = Promise.all(added.map(run => run.future.done));
    await Promise.race([ended, settled]);
    if (answer.question) {
      this.ask(answer.question, runs.get(answer.question.parent_header.msg_id));
    }
  }

  // A question of input(): the last one, unless it was answered.
  ask(message, run) {
    const { msg_id, date } = message.header;
    const last = this.lastQuestion;
    const isOver = last && (msg_id === last.header.msg_id ? last.answered : date < last.header.date);
    if (run && !run.ended && !run.future.isDisposed && !isOver && !this.asked.has(msg_id)) {
      this.asked.add(msg_id);
      run.future.onStdin(message);
    }
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
    const cell = this.cell(run.cell);
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

  // Below format 4.5 cells have other ids after each load: there a text that no other cell has identifies one.
  cellOf(request, others) {
    const { nbformat, nbformatMinor } = this.context.model;
    if (nbformat > 4 || nbformatMinor >= 5) {
      return this.cell(request.cell);
    }
    const cells = this.panel.content.widgets.filter(each => each.model.sharedModel.getSource() === request.code);
    const isOne = cells.length === 1 && others.filter(each => each.code === request.code).length === 1;
    return this.cell(request.cell) || (isOne && cells[0].model.type === 'code' ? cells[0] : undefined);
  }

  // The next save forgets a request whose cell is gone, unless another notebook uses the kernel too.
  forgetDeleted(kernel, request) {
    const sessions = [...this.app.serviceManager.sessions.running()];
    if (sessions.filter(each => each.kernel && each.kernel.id === kernel.id).length === 1) {
      this.ended.add(request.msg_id);
    }
  }

  // Cells whose text is not what was run keep what they have.
  offer(kernel, runs, changed) {
    const { commands } = this.app;
    const number = ++offers;
    const show = `jupyterd:show-output-${number}`;
    const discard = `jupyterd:discard-output-${number}`;
    commands.addCommand(show, { execute: () => this.replay(kernel, runs, true) });
    commands.addCommand(discard, { execute: () => this.server.tell(kernel.id, changed) });
    const many = `${changed.length} cells were changed after they were run`;
    const what = changed.length === 1 ? 'A cell was changed after it was run' : many;
    commands.execute('apputils:notify', {
      message: `${what}: output that is not saved is not shown.`,
      type: 'info',
      options: {
        autoClose: false,
        actions: [
          { label: 'Show the output', commandId: show, args: {} },
          { label: 'Discard it', commandId: discard, args: {} }
        ]
      }
    });
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

// Resolves when nothing has come for a while since the first message for these runs, and 3 s after that at most: what
// follows is live.
const QUIET_MS = 500;
const QUIET_MOST_MS = 3000;
const quiet = async (kernel, runs) => {
  let first = 0;
  let last = 0;
  const note = (_, { msg }) => {
    last = Date.now();
    first = first || (runs.has(msg.parent_header && msg.parent_header.msg_id) ? last : 0);
  };
  kernel.anyMessage.connect(note);
  while (!first || (Date.now() - last < QUIET_MS && Date.now() - first < QUIET_MOST_MS)) {
    if (kernel.isDisposed) {
      break;
    }
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
    const shared = isShared();
    if (shared) {
      console.warn('jupyterd: jupyter-collaboration keeps the documents, so output that no page has seen is not shown');
    }
    app.docRegistry.addWidgetExtension('Notebook', {
      createNew: (panel, context) => {
        if (!known.has(context)) {
          known.add(context);
          shared ? new SharedNotebook(context, server) : new Notebook(app, panel, context, server);
        }
      }
    });
  }
};
