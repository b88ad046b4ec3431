// Says calmly that the server is away, once it has been for a while, or that the login is over, and takes the notice back
// when that has changed. Drawn here: the code of Jupyter's own notices is loaded from the server when it is first needed.

import { baseUrl, server } from './server.js';

const QUIET_MS = 5000;
const STYLE = {
  position: 'fixed', right: '16px', bottom: '16px', zIndex: 10000, maxWidth: '360px', padding: '10px 14px',
  borderRadius: '4px', boxShadow: '0 2px 8px rgba(0, 0, 0, 0.3)', font: '13px/1.45 system-ui, sans-serif',
  color: 'var(--jp-ui-font-color1, #222)', background: 'var(--jp-layout-color2, #eee)',
  borderLeft: '4px solid var(--jp-info-color1, #1976d2)'
};

const draw = (id, ...content) => {
  const notice = document.createElement('div');
  notice.id = id;
  notice.setAttribute('role', 'status');
  Object.assign(notice.style, STYLE);
  notice.append(...content);
  document.body.append(notice);
  return notice;
};

let timer = 0;
let away = null;
let loggedOut = null;

server.addEventListener('away', () => {
  const since = new Date(server.awaySince).toLocaleTimeString();
  const text = `No connection to the server since ${since}. Running cells go on, and this page connects again by itself.`;
  timer = setTimeout(() => {
    away = draw('jupyterd-away', text);
  }, QUIET_MS - (Date.now() - server.awaySince));
});

server.addEventListener('back', () => {
  clearTimeout(timer);
  away?.remove();
  away = null;
});

server.addEventListener('logged-out', () => {
  const link = document.createElement('a');
  Object.assign(link, { href: new URL('login', baseUrl), target: '_blank', textContent: 'Log in again in another tab' });
  link.style.textDecoration = 'underline';
  loggedOut = draw('jupyterd-logged-out', 'Your login is over. ', link, '; this page then goes on.');
});

server.addEventListener('logged-in', () => {
  loggedOut?.remove();
  loggedOut = null;
});
