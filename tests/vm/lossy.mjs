// A stretch of the way to a guest that loses some of what goes over it, both ways: UDP from one port of the host's to another. In a
// thread of its own, so that nothing else the test does holds it up.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

import { numbersOf } from '../browser/random.mjs';

const HERE = '127.0.0.1';
/** A browser tries its ways out beside each other. */
const MOST_REMOTES = 64;

/** From the port `from` to the port `to`, for as long as `t`; `lose(share)` of 0 to 1 says what became of all packets before. */
export async function buildLossyWay(t, from, to) {
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { from, to } });
  t.after(() => worker.terminate());
  await once(worker, 'message');
  return {
    async lose(share) {
      worker.postMessage(share);
      return (await once(worker, 'message'))[0];
    },
  };
}

function carry({ from, to }) {
  const random = numbersOf(3);
  const [remotes, counts] = [new Map(), { carried: 0, lost: 0 }];
  let share = 0;
  const isLost = () => {
    const lost = random() < share;
    counts[lost ? 'lost' : 'carried'] += 1;
    return lost;
  };
  const near = createSocket('udp4');
  /** The socket that stands for one remote at the far end. */
  const farOf = ({ address, port }) => {
    const name = `${address}:${port}`;
    if (!remotes.has(name) && remotes.size < MOST_REMOTES) {
      const far = createSocket('udp4');
      far.on('message', (packet) => isLost() || near.send(packet, port, address));
      remotes.set(name, far);
    }
    return remotes.get(name);
  };
  near.on('message', (packet, remote) => isLost() || farOf(remote)?.send(packet, to, HERE));
  near.bind(from, HERE, () => parentPort.postMessage('ready'));
  parentPort.on('message', (wanted) => {
    parentPort.postMessage({ ...counts });
    [share, counts.carried, counts.lost] = [wanted, 0, 0];
  });
}

if (!isMainThread) carry(workerData);
