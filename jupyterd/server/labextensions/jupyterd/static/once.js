// Drops the messages of a kernel that the page has already. When a server is killed, the next one sends a page all that
// it did not acknowledge (docs/architecture.md); what was on its way comes twice, and no server can know that it did.

// Messages remembered for each connection to a kernel, the newest: more are not on their way at once.
const REMEMBERED = 16384;

const known = new Map(); // address of a connection, with its session id -> Once

// Identifies a message: some kernels number theirs from 1 again when they are restarted, so the date belongs to it.
const identity = data => {
  const view = new DataView(data);
  const offset = index => Number(view.getBigUint64(8 * (index + 1), true)); // 0: channel, 1: header, 2: parent header
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, offset(1), offset(2) - offset(1))));
  return `${header.msg_id} ${header.date}`;
};

class Once {
  messages = new Map(); // identity -> the connection that brought it

  // Only what an earlier connection brought is dropped: within one the server sends nothing twice.
  isNew(data, connection) {
    const message = identity(data);
    const first = this.messages.get(message);
    if (first !== undefined && first !== connection) {
      return false;
    }
    this.messages.set(message, connection);
    if (this.messages.size > REMEMBERED) {
      this.messages.delete(this.messages.keys().next().value);
    }
    return true;
  }
}

export const onceFor = address => {
  if (!known.has(address)) {
    known.set(address, new Once());
  }
  return known.get(address);
};
