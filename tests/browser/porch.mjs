// A node called "Front door" behind Debian's mosquitto, with a picture of the size that tests look at.
import { answers, binary, Child, freePort, startMosquitto, temporaryFile, until } from './processes.mjs';

/** Starts it and waits for its page; all ends with the test `t`. `more` ends its config, `options` are those of the child. */
export async function startPorch(t, name, { more = '', options = {} } = {}) {
  const broker = await startMosquitto(t, `${name}-mosquitto`);
  const http = await freePort();
  const config = temporaryFile(t, 'node.toml', `
[node]
id = "porch"
name = "Front door"
[broker]
url = "${broker.url}"
websocket_url = "${broker.wsUrl}"
[http]
bind = "127.0.0.1:${http}"
[ice]
include_loopback = true
[[camera]]
[camera.video]
source = "test-pattern"
width = 640
height = 360
[camera.audio]
source = "tone"
${more}
`);
  const child = new Child(t, name, binary, ['run', '--config', config], options);
  await child.before(until('the page is served', () => answers(http)));
  return { page: `http://127.0.0.1:${http}/`, broker, child, name };
}
