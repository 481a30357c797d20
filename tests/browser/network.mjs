// Two machines on a cable of their own, as network namespaces: a camera and whoever watches it. Needs root.
import { spawnSync } from 'node:child_process';

import { Namespace, ip, must } from './namespace.mjs';

/** Why there can be none here; false if there can. */
export const noNamespaces = (() => {
  const name = `cn-try-${process.pid}`;
  if (!ip(`netns add ${name}`)) return 'no network namespaces for this user';
  ip(`netns del ${name}`);
  return false;
})();

let cables = 0;

/**
 * A cable that lasts as long as the test `t`: `camera` at 10.78.0.1, `viewer` at 10.78.0.2; with `v6`, the camera is at fd78::1 alone,
 * and the viewer at fd78::2 too: where there is no IPv4 at all, Chromium waits for ever to hide its addresses behind mDNS names.
 */
export function layCable(t, { v6 = false } = {}) {
  cables += 1;
  const [camera, viewer] = ['c', 'v'].map((end) => `cn-${end}${cables}-${process.pid}`);
  t.after(() => [camera, viewer].forEach((name) => ip(`netns del ${name}`)));
  for (const name of [camera, viewer]) {
    must(`netns add ${name}`);
    // An IPv6 address that is usable a second later is a change of the network, for which a browser breaks off its loading.
    const key = v6 ? 'accept_dad' : 'disable_ipv6';
    const set = `for one in all default; do echo ${v6 ? 0 : 1} >/proc/sys/net/ipv6/conf/$one/${key}; done`;
    if (spawnSync('ip', ['netns', 'exec', name, 'sh', '-c', set]).status !== 0) throw new Error(set);
  }
  [
    `-n ${camera} link add wire type veth peer name wire netns ${viewer}`,
    ...[camera, viewer].flatMap((name, n) => [
      ...(v6 ? [`-n ${name} addr add fd78::${n + 1}/64 dev wire`] : []),
      ...(v6 && name === camera ? [] : [`-n ${name} addr add 10.78.0.${n + 1}/24 dev wire`]),
      `-n ${name} link set lo up`,
      `-n ${name} link set wire up`,
      // Where nobody is known to take it, multicast has no way.
      `-n ${name} route add default dev wire`,
      ...(v6 ? [`-n ${name} -6 route add default dev wire`] : []),
    ]),
  ].forEach((line) => must(line));
  return { camera: new Namespace(camera), viewer: new Namespace(viewer) };
}
