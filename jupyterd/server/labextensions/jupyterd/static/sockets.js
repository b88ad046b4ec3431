// Websockets of the page that outlast a server: one that cannot connect because the server is away waits for it, and
// one to a kernel stays open for the page while it is connected again underneath. Jupyter's own reconnection counts
// attempts, waits longer after each, gives up, and forgets that a kernel is busy. Nothing is lost: what the page sends
// meanwhile is sent then; a cell of which no server has said that it came is sent again, and run once, because the server
// has noted those that it passed on. The next server sends what the page missed (once.js).

import { isCell } from './once.js';
import { marked, messagesOf, opened } from './replay.js';
import { STALLED_MS, pathOf, server, sleep } from './server.js';

const PROTOCOL = 'v1.kernel.websocket.jupyter.org';
const SETTLED_MS = 1000; // a connection that lasted for so long works
const REFUSALS = 1; // of a server that answers, which are not told yet
const SILENT_MS = 1000; // without an answer for so long, a connection is dead
const ENDURED = 20; // connections in a row that did not last
const PAUSES_MS = [0, 50, 100, 250, 500, 1000];
const PING = 'jupyterd:ping'; // server/channels/websocket.py answers it, after what was sent before
const REPEATED = 'jupyterd:repeated'; // before a request that the server may have had

const KINDS = [
  ['kernel', /^api\/kernels\/[^/]+\/channels$/],
  ['terminal', /^terminals\/websocket\//],
  ['events', /^api\/events\/subscribe$/]
];

const kindOf = address => {
  const path = pathOf(address);
  const found = path === null ? undefined : KINDS.find(([, pattern]) => pattern.test(path));
  return found && found[0];
};

let connections = 0;

const made = Native =>
  class Socket extends EventTarget {
    static CONNECTING = 0;
    static OPEN = 1;
    static CLOSING = 2;
    static CLOSED = 3;
    CONNECTING = 0;
    OPEN = 1;
    CLOSING = 2;
    CLOSED = 3;
    readyState = 0;
    protocol = '';
    extensions = '';
    #handlers = {};
    #binaryType = 'blob';
    #protocols;
    #kind;
    #once;
    #native = null; // the connection in use, null between two
    #connection = 0; // its number
    #isOpen = false;
    #openedAt = 0;
    #unsent = []; // what the page has sent while there was no connection
    #unconfirmed = []; // cells that were sent, until the server is known to have them
    #asked = []; // for each ping that has no answer yet: the cell before it, or whatever else it is asked for
    #heard = 0; // messages that came
    #refusals = 0;
    #tries = 0;
    #listening = new AbortController();

    constructor(url, protocols) {
      super();
      this.url = String(new URL(url, location.href)).replace(/^http/, 'ws');
      this.#kind = kindOf(this.url);
      if (this.#kind === undefined) {
        return protocols === undefined ? new Native(url) : new Native(url, protocols);
      }
      this.#protocols = protocols === undefined ? [] : protocols;
      this.#once = this.#kind === 'kernel' ? messagesOf(this.url) : null;
      const { signal } = this.#listening;
      server.addEventListener('woken', () => this.#check(), { signal });
      server.addEventListener('back', () => this.#back(), { signal });
      this.#connect();
    }

    get binaryType() {
      return this.#binaryType;
    }

    set binaryType(type) {
      this.#binaryType = type;
      if (this.#native) {
        this.#native.binaryType = type;
      }
    }

    get bufferedAmount() {
      return this.#native ? this.#native.bufferedAmount : 0;
    }

    send(data) {
      if (this.readyState === 0) {
        throw new DOMException('Still in CONNECTING state.', 'InvalidStateError');
      }
      if (this.#isOpen) {
        this.#native.send(data);
        if (this.#isMessage(data) && isCell(data)) {
          this.#unconfirmed.push(data);
          this.#ping(data);
        }
      } else if (this.readyState === 1) {
        this.#unsent.push(data);
      }
    }

    close(code, reason) {
      if (this.readyState >= 2) {
        return;
      }
      this.readyState = 2;
      if (this.#native === null) {
        sleep(0).then(() => this.#end(1006));
      } else if (code === undefined) {
        this.#native.close();
      } else {
        this.#native.close(code, reason);
      }
    }

    #connect() {
      const native = new Native(this.#kind === 'kernel' ? marked(this.url) : this.url, this.#protocols);
      this.#native = native;
      this.#connection = ++connections;
      native.binaryType = this.#binaryType;
      const stalled = setTimeout(() => server.ask(), STALLED_MS);
      native.onopen = () => {
        clearTimeout(stalled);
        this.#opened();
      };
      native.onmessage = event => this.#received(event.data);
      native.onclose = event => {
        clearTimeout(stalled);
        if (native === this.#native) {
          this.#native = null;
          this.#closed(event);
        }
      };
    }

    #opened() {
      const first = this.readyState === 0;
      this.#isOpen = true;
      this.#openedAt = Date.now();
      this.#refusals = 0;
      if (this.readyState >= 2) {
        return;
      }
      this.readyState = 1;
      if (this.#kind === 'kernel') {
        opened(this.url);
      }
      this.protocol = this.#native.protocol;
      this.extensions = this.#native.extensions;
      for (const each of this.#unconfirmed) {
        this.#native.send(REPEATED);
        this.#native.send(each);
        this.#ping(each);
      }
      for (const each of this.#unsent.splice(0)) {
        this.send(each);
      }
      if (first) {
        this.dispatchEvent(new Event('open'));
      }
    }

    #isMessage(data) {
      return this.#kind === 'kernel' && this.protocol === PROTOCOL && data instanceof ArrayBuffer;
    }

    #ping(cell) {
      this.#asked.push(cell);
      this.#native.send(PING);
    }

    #received(data) {
      this.#heard++;
      if (data === PING) {
        const cell = this.#asked.shift();
        this.#unconfirmed = this.#unconfirmed.filter(each => each !== cell);
        return;
      }
      if (!this.#isMessage(data) || this.#once.isNew(data, this.#connection)) {
        this.dispatchEvent(new MessageEvent('message', { data, origin: location.origin }));
      }
    }

    // The connection ended, or could not be made.
    async #closed(event) {
      const wasOpen = this.#isOpen;
      this.#isOpen = false;
      this.#asked = [];
      if (this.readyState >= 2) {
        this.#end(event.code, event.reason, event.wasClean);
        return;
      }
      if (wasOpen && Date.now() - this.#openedAt > SETTLED_MS) {
        this.#tries = 0;
      }
      // A terminal is drawn again from what the server sends first.
      const isOver = wasOpen ? this.#kind === 'terminal' : !(await server.ask()) && this.#refusals++ >= REFUSALS;
      if (isOver || this.#tries > ENDURED) {
        this.#end(wasOpen ? event.code : 1006, event.reason, event.wasClean);
        return;
      }
      await sleep(PAUSES_MS[Math.min(this.#tries++, PAUSES_MS.length - 1)]);
      if (this.readyState < 2) {
        this.#connect();
      }
    }

    // The server is back. What was being connected before it was away may wait for ever.
    #back() {
      if (this.#isOpen) {
        this.#check(true);
      } else if (this.#native) {
        this.#giveUp();
      }
    }

    // Whether the connection is alive: after a sleep, neither side may know that it is dead.
    async #check(wasAway = false) {
      if (!this.#isOpen || this.readyState !== 1) {
        return;
      }
      const native = this.#native;
      if (this.#kind === 'kernel' && this.protocol === PROTOCOL) {
        const question = {};
        let heard;
        this.#ping(question);
        do { // what comes now may have waited in the browser since before the sleep: the answer alone is a sign of life
          heard = this.#heard;
          await sleep(SILENT_MS);
          if (native !== this.#native || !this.#asked.includes(question)) {
            return;
          }
        } while (this.#heard !== heard);
      } else if (!wasAway) {
        return;
      }
      if (native === this.#native && this.#isOpen) {
        this.#giveUp();
      }
    }

    #giveUp() {
      const native = this.#native;
      this.#native = null;
      native.onmessage = native.onopen = null;
      native.close();
      this.#closed(new CloseEvent('close', { code: 1006 }));
    }

    #end(code, reason = '', wasClean = false) {
      if (this.readyState === 3) {
        return;
      }
      this.readyState = 3;
      this.#listening.abort();
      // 1000 and 1001 would be the end of a kernel for the page; a proxy that is restarted says so.
      const told = this.#kind === 'kernel' && (code === 1000 || code === 1001) ? 1006 : code;
      this.dispatchEvent(new CloseEvent('close', { code: told, reason, wasClean }));
    }

    #handle(type, handler) {
      this.removeEventListener(type, this.#handlers[type]);
      this.#handlers[type] = handler;
      this.addEventListener(type, handler);
    }

    get onopen() {
      return this.#handlers.open || null;
    }
    set onopen(handler) {
      this.#handle('open', handler);
    }
    get onmessage() {
      return this.#handlers.message || null;
    }
    set onmessage(handler) {
      this.#handle('message', handler);
    }
    get onerror() {
      return this.#handlers.error || null;
    }
    set onerror(handler) {
      this.#handle('error', handler);
    }
    get onclose() {
      return this.#handlers.close || null;
    }
    set onclose(handler) {
      this.#handle('close', handler);
    }
  };

// For all that the page connects to from now on; what is no kernel, terminal or stream of events stays as it is.
export default {
  id: 'jupyterd:sockets',
  description: 'Keeps connections to kernels, terminals and events while the server is replaced or out of reach.',
  autoStart: true,
  activate: app => {
    const settings = app.serviceManager.serverSettings;
    settings.WebSocket = made(settings.WebSocket);
  }
};
