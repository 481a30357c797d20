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

/** A cable that lasts as long as the test `t`: `camera` at 10.78.0.1, `viewer` at 10.78.0.2. */
export function layCable(t) {
  cables += 1;
  const [camera, viewer] = ['c', 'v'].map((end) => `cn-${end}${cables}-${process.pid}`);
  t.after(() => [camera, viewer].forEach((name) => ip(`netns del ${name}`)));
  for (const name of [camera, viewer]) {
    must(`netns add ${name}`);
    // An IPv6 address that is usable a second later is a change of the network, for which a browser breaks off its loading.
    const off = 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6';
    if (spawnSync('ip', ['netns', 'exec', name, 'sh', '-c', off]).status !== 0) throw new Error(off);
  }
  [
    `-n ${camera} link add wire type veth peer name wire netns ${viewer}`,
    ...[camera, viewer].flatMap((name, n) => [
      `-n ${name} addr add 10.78.0.${n + 1}/24 dev wire`,
      `-n ${name} link set lo up`,
      `-n ${name} link set wire up`,
      // Where nobody is known to take it, multicast has no way.
      `-n ${name} route add default dev wire`,
    ]),
  ].forEach((line) => must(line));
  return { camera: new Namespace(camera), viewer: new Namespace(viewer) };
}
