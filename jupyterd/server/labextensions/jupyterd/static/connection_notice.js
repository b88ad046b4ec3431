// Says calmly that the server is away, once it has been for a while, and takes the notice back when it answers. Drawn
// here: the code of Jupyter's own notices is loaded from the server when the first one is shown.

import { server } from './server.js';

const QUIET_MS = 5000;
const STYLE = {
  position: 'fixed', right: '16px', bottom: '16px', zIndex: 10000, maxWidth: '360px', padding: '10px 14px',
  borderRadius: '4px', boxShadow: '0 2px 8px rgba(0, 0, 0, 0.3)', font: '13px/1.45 system-ui, sans-serif',
  color: 'var(--jp-ui-font-color1, #222)', background: 'var(--jp-layout-color2, #eee)',
  borderLeft: '4px solid var(--jp-info-color1, #1976d2)'
};

const draw = since => {
  const notice = document.createElement('div');
  notice.id = 'jupyterd-away';
  notice.setAttribute('role', 'status');
  Object.assign(notice.style, STYLE);
  notice.textContent =
    `No connection to the server since ${new Date(since).toLocaleTimeString()}. Running cells go on, and this page ` +
    'connects again by itself.';
  document.body.append(notice);
  return notice;
};

let timer = 0;
let notice = null;

server.addEventListener('away', () => {
  const quiet = QUIET_MS - (Date.now() - server.awaySince);
  timer = setTimeout(() => {
    notice = draw(server.awaySince);
  }, quiet);
});

server.addEventListener('back', () => {
  clearTimeout(timer);
  notice?.remove();
  notice = null;
});
