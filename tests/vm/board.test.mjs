// The package on a 64-bit ARM board.
import test from 'node:test';

import { live } from './life.mjs';

const deb = process.env.CAMERA_NODE_ARM64_DEB;

/**
 * A line of the machine's PL061, a GPIO chip as boards have it, goes to its power button; the guest knows nothing of that, and
 * so the line is free.
 */
const press = (guest) => guest.tell(['system_powerdown']);

test('the package lives on an ARM board', { timeout: 900_000, skip: deb ? false : 'no package for arm64 (CAMERA_NODE_ARM64_DEB)' }, (t) =>
  live(t, { name: 'board', kind: 'arm64', deb, press }));
