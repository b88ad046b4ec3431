// Requests of the page that fail because the server is away or being replaced are made again, if making them twice is
// the same as making them once. Jupyter's dialog "Server Connection Error" and its verdict that a kernel is dead follow
// from such failures. Whether the server is away: server.js. Websockets: sockets.js.

import { STALLED_MS, isUnreachable, pathOf, server, sleep } from './server.js';

// While the server is away, a request that only reads waits for it without limit: what depends on it, a save for
// example, which reads first whether the file is still the same, goes on afterwards with what is so then. Others
// would meet another world after a long time.
const PATIENCE_MS = 10000;
const WHILE_REACHABLE_MS = 5000; // failing for so long while the server answers others: the failure is shown
const PAUSES_MS = [50, 100, 250, 500, 1000];

// Requests that may be repeated although they are no GET or PUT. A kernel that was just restarted may be restarted
// again: the page sends it nothing before the answer. The session of a notebook is found by its path, not made twice.
const REPEATABLE = [/^api\/sessions$/, /^api\/kernels\/[^/]+\/restart$/, /^api\/contents\/.*\/checkpoints$/];

const isRepeatable = async (request, path) => {
  switch (request.method) {
    case 'GET':
    case 'HEAD':
    case 'OPTIONS':
    case 'DELETE':
      return true;
    case 'PUT':
      return !(path.startsWith('api/contents/') && (await isPart(request)));
    case 'POST':
      return REPEATABLE.some(each => each.test(path));
    default:
      return false;
  }
};

// Whether it is a part of a large upload: parts are appended to what is there.
const isPart = async request => {
  const body = await request.clone().text();
  return /"chunk":/.test(body.slice(0, 500) + body.slice(-500));
};

const onlyReads = request => ['GET', 'HEAD', 'OPTIONS'].includes(request.method);

const cancelled = signal => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));

// All of an answer of Jupyter's API, so that one that is cut off is a failure of the request.
const whole = async (response, path) => {
  if (!path.startsWith('api/') || !/json/.test(response.headers.get('Content-Type') || '')) {
    return response;
  }
  const { status, statusText, headers, url } = response;
  const body = [204, 205, 304].includes(status) ? null : await response.arrayBuffer();
  return Object.defineProperty(new Response(body, { status, statusText, headers }), 'url', { value: url });
};

class Attempts {
  constructor(fetch, request, path) {
    this.fetch = fetch;
    this.request = request;
    this.path = path;
    this.failedSince = 0; // Date.now() of the first failure while the server answers others; 0: none
    this.again = false;
    // On any other answer than the kernel, or that there is none, the page gives a kernel up for ever.
    this.isKernel = request.method === 'GET' && /^api\/kernels\/[^/]+$/.test(path);
  }

  // Resolves to the answer that the page gets. Rejects as fetch does.
  async answer() {
    const begun = Date.now();
    const patience = onlyReads(this.request) ? Infinity : PATIENCE_MS;
    const inTime = () => Date.now() - begun < patience;
    if (server.awaySince) { // nothing was sent yet: any request may wait
      await this.#upTo(begun + patience, server.ask());
    }
    for (let number = 0; ; number++) {
      const { response, error, cut } = await this.#one();
      if (this.request.signal.aborted || (response && !this.#isTransient(response))) {
        if (this.isKernel && response?.ok) {
          server.loggedIn();
        }
        return this.#given(response, error);
      }
      if (!(await isRepeatable(this.request, this.path)) || !inTime()) {
        return this.#given(response, error);
      }
      this.again = true;
      const away = cut || (await this.#upTo(begun + patience, server.ask()));
      this.failedSince = away ? 0 : this.failedSince || Date.now();
      if (!inTime() || (!this.isKernel && this.failedSince && Date.now() - this.failedSince > WHILE_REACHABLE_MS)) {
        return this.#given(response, error);
      }
      if (response && [401, 403].includes(response.status)) {
        await server.loggedOut();
      }
      await sleep(PAUSES_MS[Math.min(number, PAUSES_MS.length - 1)]);
    }
  }

  #isTransient({ status, headers }) {
    const isJupyters = /json/.test(headers.get('Content-Type') || ''); // a kernel that cannot be started is a 503 too
    return (isUnreachable(status) && !isJupyters) || (this.isKernel && !(status < 400 || status === 404));
  }

  #given(response, error) {
    if (!response) {
      throw error;
    }
    const isGone = this.again && this.request.method === 'DELETE' && response.status === 404;
    return isGone ? new Response(null, { status: 204 }) : response;
  }

  // Whether the server was away; false also when the time is over or the request was given up.
  #upTo(until, asked) {
    const left = Math.min(until - Date.now(), 2 ** 31 - 1);
    const limits = [asked, cancelled(this.request.signal).catch(() => false)];
    return Promise.race(Number.isFinite(until) ? [...limits, sleep(left).then(() => false)] : limits);
  }

  // One attempt. `cut`: the server was away and is back, and this attempt would have waited for ever.
  async #one() {
    const stop = new AbortController();
    const begun = server.outages;
    let cut = false;
    const back = () => {
      cut = server.outages > begun && onlyReads(this.request);
      if (cut) {
        stop.abort();
      }
    };
    const stalled = setTimeout(() => server.ask(), STALLED_MS);
    const pass = () => stop.abort(this.request.signal.reason);
    this.request.signal.addEventListener('abort', pass);
    server.addEventListener('back', back);
    try {
      const response = await this.fetch(this.request.clone(), { signal: stop.signal });
      return { response: await whole(response, this.path), cut: false };
    } catch (error) {
      return { error, cut };
    } finally {
      clearTimeout(stalled);
      this.request.signal.removeEventListener('abort', pass);
      server.removeEventListener('back', back);
    }
  }
}

// Replaces fetch of this page, for requests to its own server.
export const install = page => {
  const fetch = page.fetch.bind(page);
  page.fetch = async (resource, options) => {
    const path = pathOf(resource instanceof Request ? resource.url : resource);
    return path === null ? fetch(resource, options) : new Attempts(fetch, new Request(resource, options), path).answer();
  };
};
