// Where a node tells how its parts are: `/healthz`, `/metrics`, its status, and the page's word.
import { until } from './processes.mjs';

/** Runs in the page: what the node's status says of a part, in its own word; `undefined` of one that is well. */
function toldByStatus(part) {
  const details = window.cameraNode.status?.state_detail;
  const [kind, name] = part.split(':');
  if (kind === 'camera') {
    const camera = details?.cameras[name];
    return camera?.fault ?? camera?.state;
  }
  const said = (details?.warnings ?? []).find((warning) => warning.startsWith(`${part.replace(':', ' ')} `));
  return said?.split(':')[0].split(' ').at(-1);
}

async function text(base, path) {
  return (await fetch(new URL(path, base))).text();
}

/**
 * Waits until `part` of the node at `base` is in `state` wherever that is told, and `page` says `word`. `unsaid`: the node has
 * nobody to tell its status to.
 */
export async function isTold(page, base, part, state, word, { unsaid = false } = {}) {
  const told = async () => ({
    healthz: JSON.parse(await text(base, 'healthz')).parts[part]?.detail?.split(':')[0],
    metrics: new RegExp(`^camera_node_state\\{part="${part}",state="([a-z]+)"\\} 1$`, 'm').exec(await text(base, 'metrics'))?.[1],
    status: unsaid ? state : await page.evaluate(toldByStatus, part),
    page: await page.getByTestId('state').textContent(),
  });
  let last;
  const all = async () => {
    last = await told();
    return last.healthz === state && last.metrics === state && last.status === state && last.page === word;
  };
  await until(`${part} is ${state}, and the page says "${word}"`, all, 25_000).catch((error) => {
    throw new Error(`${error.message}: ${JSON.stringify(last)}`);
  });
}

/** Waits until `page` says `word`. */
export async function says(page, word) {
  const state = page.getByTestId('state');
  await until(`the page says "${word}"`, async () => (await state.textContent()) === word, 25_000);
}
