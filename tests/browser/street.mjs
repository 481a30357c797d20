// Two machines on one street, in network namespaces of the test's own: the node's, which has the broker too, and the viewer's.
import { spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';

import { Child, temporaryFile } from './processes.mjs';

/** The node's address. */
export const NODE = '10.79.0.1';

function ip(options) {
  return spawnSync('ip', options.split(' '), { stdio: 'ignore' }).status === 0;
}

function must(options) {
  if (!ip(options)) throw new Error(`ip ${options}`);
}

/** The namespaces, gone with the test `t`; `undefined` where this user may not. */
export function buildStreet(t) {
  const [node, viewer] = ['n', 'v'].map((house) => `cn-b${house}-${process.pid}`);
  t.after(() => [node, viewer].forEach((house) => ip(`netns del ${house}`)));
  if (!ip(`netns add ${node}`) || !ip(`netns add ${viewer}`)) return undefined;
  must(`-n ${node} link add street type bridge`);
  must(`-n ${node} addr add ${NODE}/24 dev street`);
  must(`-n ${node} link set street up`);
  must(`-n ${node} link set lo up`);
  must(`-n ${viewer} link set lo up`);
  for (const plug of [0, 1]) {
    must(`-n ${node} link add v${plug} type veth peer name eth${plug} netns ${viewer}`);
    must(`-n ${node} link set v${plug} master street`);
    must(`-n ${node} link set v${plug} up`);
  }
  const plugIn = (plug, last) => {
    must(`-n ${viewer} link set eth${plug} up`);
    must(`-n ${viewer} addr add 10.79.0.${last}/24 dev eth${plug}`);
  };
  plugIn(0, 2);
  return {
    /** A child of this name in the node's house. */
    start: (name, program, args) => new Child(t, name, 'ip', ['netns', 'exec', node, program, ...args]),
    /** Runs `program` in the viewer's house. */
    atViewers: (program) => {
      const script = temporaryFile(t, 'there', `#!/bin/sh\nexec ip netns exec ${viewer} ${program} "$@"\n`);
      chmodSync(script, 0o755);
      return script;
    },
    /** The viewer pulls one plug, which takes its address with it, and puts in the other, which brings another. */
    replug: () => {
      must(`-n ${viewer} link set eth0 down`);
      must(`-n ${viewer} addr flush dev eth0`);
      plugIn(1, 12);
    },
  };
}
