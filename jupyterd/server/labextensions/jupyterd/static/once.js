// Drops the messages of a kernel that the page has already. When a server is killed, the next one sends a page all that
// it did not acknowledge (docs/architecture.md); what was on its way comes twice, and no server can know that it did.

// Messages remembered for each connection to a kernel, the newest: more are not on their way at once.
const REMEMBERED = 16384;

const known = new Map(); // session id -> Once

// The header of a message, and of the request to which it belongs.
const headers = data => {
  const view = new DataView(data);
  const offset = index => Number(view.getBigUint64(8 * (index + 1), true)); // 0: channel, 1: header, 2: parent header
  const part = index => new Uint8Array(data, offset(index), offset(index + 1) - offset(index));
  return [1, 2].map(index => JSON.parse(new TextDecoder().decode(part(index))));
};

// Whether a message of the page runs a cell.
export const isCell = data => headers(data)[0].msg_type === 'execute_request';

class Once {
  messages = new Map(); // identity -> {the connection that brought it, whether it belongs to a request of this session}

  constructor(session) {
    this.session = session;
  }

  // Only what an earlier connection brought is dropped: within one the server sends nothing twice.
  isNew(data, connection) {
    const [header, parent] = headers(data);
    // Some kernels number their messages from 1 again when they are restarted, so the date belongs to the identity.
    const message = `${header.msg_id} ${header.date}`;
    const first = this.messages.get(message);
    if (first !== undefined && first.connection !== connection) {
      return false;
    }
    this.messages.set(message, { connection, own: parent.session === this.session });
    if (this.messages.size > REMEMBERED) {
      this.messages.delete(this.messages.keys().next().value);
    }
    return true;
  }

  // What belongs to requests of other sessions is new again.
  forgetOthers() {
    for (const [message, { own }] of this.messages) {
      if (!own) {
        this.messages.delete(message);
      }
    }
  }
}

export const onceFor = session => {
  if (!known.has(session)) {
    known.set(session, new Once(session));
  }
  return known.get(session);
};
