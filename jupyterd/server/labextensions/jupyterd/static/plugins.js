// Everything that page.js loads, before Jupyter's own code runs.
import './connection_notice.js';
import notices from './notices.js';
import reload from './reload.js';
import { install } from './requests.js';
import sockets from './sockets.js';

install(window);
window._JUPYTERLAB.jupyterd.plugins.push(notices, sockets, reload);
