// The package on an amd64 machine: the same story as on an ARM board, but for the push button, as a PC has no GPIO chip.
import test from 'node:test';

import { live } from '../vm/life.mjs';

const deb = process.env.CAMERA_NODE_AMD64_DEB;

test('the package lives on an amd64 machine', { timeout: 900_000, skip: deb ? false : 'no package for amd64 (CAMERA_NODE_AMD64_DEB)' }, (t) =>
  live(t, { name: 'board-amd64', kind: 'amd64-board', deb }));
