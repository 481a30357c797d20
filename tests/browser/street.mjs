// Two machines on one street, in network namespaces of the test's own: the node's, which has the broker too, and the viewer's.
import { Namespace, ip } from './namespace.mjs';

/** The node's address. */
export const NODE = '10.79.0.1';

/** The namespaces, gone with the test `t`; `undefined` where this user may not. */
export function buildStreet(t) {
  const [node, viewer] = ['n', 'v'].map((house) => new Namespace(`cn-b${house}-${process.pid}`));
  t.after(() => [node, viewer].forEach(({ name }) => ip(`netns del ${name}`)));
  if (![node, viewer].every(({ name }) => ip(`netns add ${name}`))) return undefined;
  node.ip('link add street type bridge');
  node.ip(`addr add ${NODE}/24 dev street`);
  node.ip('link set street up');
  node.ip('link set lo up');
  viewer.ip('link set lo up');
  for (const plug of [0, 1]) {
    node.ip(`link add v${plug} type veth peer name eth${plug} netns ${viewer.name}`);
    node.ip(`link set v${plug} master street`);
    node.ip(`link set v${plug} up`);
  }
  const plugIn = (plug, last) => {
    viewer.ip(`link set eth${plug} up`);
    viewer.ip(`addr add 10.79.0.${last}/24 dev eth${plug}`);
  };
  plugIn(0, 2);
  return {
    /** A child of this name in the node's house. */
    start: (name, program, args) => node.start(t, name, program, args),
    /** Runs `program` in the viewer's house. */
    atViewers: (program) => viewer.wrapper(t, program),
    /** The viewer pulls one plug, which takes its address with it, and puts in the other, which brings another. */
    replug: () => {
      viewer.ip('link set eth0 down');
      viewer.ip('addr flush dev eth0');
      plugIn(1, 12);
    },
  };
}
