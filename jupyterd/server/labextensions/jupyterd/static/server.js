// Whether this page can reach its server. requests.js and sockets.js ask when something of theirs fails or takes long.

// A proxy's answers for a server that it cannot reach, also those of Cloudflare.
const UNREACHABLE = [502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 530];
const PROBE_MS = 2000; // without an answer for so long, the next probe is sent
const PAUSES_MS = [50, 100, 200, 400, 1000]; // between probes; the last one again and again
const LOGGED_OUT_MS = 30000; // between two looks whether there is a login again
const BEAT_MS = 1000;
const ASLEEP_MS = 4000; // without a beat for so long, the page slept (the laptop, or the browser put the tab aside)

export const STALLED_MS = 3000; // what has no answer for so long is a reason to ask

export const sleep = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds));

export const isUnreachable = status => UNREACHABLE.includes(status);

const nativeFetch = window.fetch.bind(window);

export const baseUrl = (() => {
  const config = document.getElementById('jupyter-config-data');
  const path = (config && JSON.parse(config.textContent).baseUrl) || '/';
  return new URL(path, location.origin);
})();

// The part of an address below the base URL, without query; null for another server's.
export const pathOf = address => {
  const url = new URL(address, location.href);
  const host = url.host === baseUrl.host && /^(http|ws)s?:$/.test(url.protocol);
  return host && url.pathname.startsWith(baseUrl.pathname) ? url.pathname.slice(baseUrl.pathname.length) : null;
};

// Events: "away" (a probe failed), "back" (one succeeded after that), "woken" (the page may have slept), "logged-out" and
// "logged-in".
class Server extends EventTarget {
  awaySince = 0; // Date.now() of the first probe that failed; 0: reachable, as far as we know
  outages = 0; // how many were seen to end
  isLoggedOut = false;
  #asking = null;
  #skipPause = () => undefined;

  constructor() {
    super();
    let beat = Date.now();
    setInterval(() => {
      const slept = Date.now() - beat;
      beat = Date.now();
      if (slept > ASLEEP_MS) {
        this.#woken();
      }
    }, BEAT_MS);
    addEventListener('online', () => this.#woken());
    document.addEventListener('resume', () => this.#woken());
    document.addEventListener('visibilitychange', () => document.hidden || this.#skipPause());
  }

  // Resolves when the server has answered a probe; true if it was away meanwhile.
  ask() {
    this.#asking ??= this.#untilAnswered().finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  async #untilAnswered() {
    const begun = Date.now();
    for (let failed = 0; !(await this.#answers()); failed++) {
      if (failed === 0) {
        this.awaySince = begun;
        this.dispatchEvent(new Event('away'));
      }
      const pause = PAUSES_MS[Math.min(failed, PAUSES_MS.length - 1)];
      await Promise.race([sleep(pause), new Promise(resolve => (this.#skipPause = resolve))]);
    }
    if (this.awaySince === 0) {
      return false;
    }
    this.awaySince = 0;
    this.outages++;
    this.dispatchEvent(new Event('back'));
    return true;
  }

  // The version of Jupyter's API: it needs no login, and no captive portal has it.
  async #answers() {
    const stop = new AbortController();
    const timeout = setTimeout(() => stop.abort(), PROBE_MS);
    try {
      const url = new URL(`api?${Date.now()}`, baseUrl);
      const response = await nativeFetch(url, { cache: 'no-store', redirect: 'error', signal: stop.signal });
      return response.ok && 'version' in (await response.json());
    } catch {
      return false;
    } finally {
      clearTimeout(timeout);
    }
  }

  // The login of this page is over. Resolves when it is worth a try whether there is another one.
  loggedOut() {
    if (!this.isLoggedOut) {
      this.isLoggedOut = true;
      this.dispatchEvent(new Event('logged-out'));
    }
    const shown = new Promise(resolve => {
      document.addEventListener('visibilitychange', () => document.hidden || resolve(), { once: true });
      addEventListener('focus', resolve, { once: true });
    });
    return Promise.race([sleep(LOGGED_OUT_MS), shown]);
  }

  loggedIn() {
    if (this.isLoggedOut) {
      this.isLoggedOut = false;
      this.dispatchEvent(new Event('logged-in'));
    }
  }

  #woken() {
    this.#skipPause();
    this.dispatchEvent(new Event('woken'));
  }
}

export const server = new Server();
