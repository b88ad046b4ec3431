// Which connections to kernels are to bring all output that is not saved (server/channels/unsaved_output.py). Every
// other one says that the page has this extension: the server notes which cell each of its requests belongs to.

import { onceFor } from './once.js';

const wanted = new Set(); // session ids
const sessionOf = address => new URL(address).searchParams.get('session_id');

// The next connection of this session brings it, and what earlier pages have asked for is new on it.
export const replay = session => {
  wanted.add(session);
  onceFor(session).forgetOthers();
};

export const marked = address => `${address}&jupyterd=${wanted.has(sessionOf(address)) ? 'again' : 'page'}`;

export const opened = address => wanted.delete(sessionOf(address));

export const messagesOf = address => onceFor(sessionOf(address));
