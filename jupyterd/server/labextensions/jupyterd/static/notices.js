// Shows the supervisor's notices: each stays until it is closed.
export default {
  id: 'jupyterd:notices',
  description: 'Shows notices from jupyterd.',
  autoStart: true,
  activate: app => {
    app.serviceManager.events.stream.connect((_, event) => {
      if (String(event.schema_id).endsWith('/jupyterd/notice')) {
        app.commands.execute('apputils:notify', { message: event.text, type: 'warning', options: { autoClose: false } });
      }
    });
  }
};
