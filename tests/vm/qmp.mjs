// What is done to a machine from outside, through QEMU's own protocol (https://www.qemu.org/docs/master/interop/qmp-spec.html).
import { once } from 'node:events';
import net from 'node:net';
import readline from 'node:readline';

/** Has QEMU, which listens at `socket`, do one thing after the other: `[command, arguments]` each. */
export async function tellMachine(socket, ...commands) {
  const connection = net.connect(socket);
  await once(connection, 'connect');
  try {
    const lines = readline.createInterface({ input: connection })[Symbol.asyncIterator]();
    const next = async () => JSON.parse((await lines.next()).value);
    // It greets first.
    await next();
    for (const [execute, given] of [['qmp_capabilities'], ...commands]) {
      connection.write(`${JSON.stringify({ execute, arguments: given })}\n`);
      // Events may come in between.
      for (;;) {
        const said = await next();
        if (said.error) throw new Error(`${execute}: ${said.error.desc}`);
        if ('return' in said) break;
      }
    }
  } finally {
    connection.destroy();
  }
}
