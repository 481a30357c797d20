// What a process holds, as Linux tells it, and what a node says of itself.
import { readFileSync, readdirSync } from 'node:fs';
import http from 'node:http';

/** Descriptors, threads and resident memory of a process that runs. */
export function held(pid) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kB = (key) => Number(status.match(new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm'))[1]);
  return {
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    threads: readdirSync(`/proc/${pid}/task`).length,
    rssKb: kB('VmRSS'),
    anonKb: kB('RssAnon'),
  };
}

/** What a page's server answers, over a connection that is then closed: one that is kept would be counted. */
function answer(page, path) {
  return new Promise((resolve, reject) => {
    const request = http.get(new URL(path, page), { agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (more) => (text += more));
      response.on('end', () => resolve(text)).on('error', reject);
    });
    request.on('error', reject);
  });
}

/** The state of a part of the node, in its own word: `live`, `away` … */
export async function stateOf(page, part) {
  const { parts } = JSON.parse(await answer(page, 'healthz'));
  return parts[part]?.detail?.split(':')[0];
}

/** Tasks that have not ended, and viewers that are sent pictures. */
export async function counted(page) {
  const text = await answer(page, 'metrics');
  const sum = (name) => {
    const found = [...text.matchAll(new RegExp(`^camera_node_${name}(?:\\{.*\\})? (\\d+)$`, 'gm'))];
    return found.reduce((total, [, value]) => total + Number(value), 0);
  };
  const tasks = sum('tasks');
  // It serves this answer with one.
  if (tasks === 0) throw new Error('the node does not count its tasks');
  return { tasks, viewers: sum('viewers') };
}
