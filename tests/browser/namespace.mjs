// A network namespace, as a machine of its own: what is started and run there. Needs root.
import { spawnSync } from 'node:child_process';
import { chmodSync } from 'node:fs';

import { Child, temporaryFile } from './processes.mjs';

/** Whether `ip …` went well. */
export const ip = (line) => spawnSync('ip', line.split(' '), { stdio: 'ignore' }).status === 0;

/** `ip …`, or an error. */
export function must(line) {
  if (!ip(line)) throw new Error(`ip ${line}`);
}

/** One that is there already. */
export class Namespace {
  constructor(name) {
    this.name = name;
  }

  /** `ip …` inside. */
  ip(line) {
    must(`-n ${this.name} ${line}`);
  }

  /** A child process inside. */
  start(t, log, program, args, options) {
    return new Child(t, log, 'ip', ['netns', 'exec', this.name, program, ...args], options);
  }

  /** Runs a program inside to its end; what it has printed. */
  run(program, args) {
    const ran = spawnSync('ip', ['netns', 'exec', this.name, program, ...args], { encoding: 'utf8', timeout: 30_000 });
    if (ran.status !== 0) throw new Error(`${program} ${args.join(' ')}: ${ran.status} ${ran.stderr}`);
    return ran.stdout;
  }

  /** A program of the file system's that starts another one inside, with its arguments. */
  wrapper(t, program) {
    const file = temporaryFile(t, 'inside', `#!/bin/sh\nexec ip netns exec ${this.name} ${program} "$@"\n`);
    chmodSync(file, 0o755);
    return file;
  }
}
