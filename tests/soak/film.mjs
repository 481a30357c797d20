// A camera that can be unplugged where there is none: a film that is taken away while it is played.
import { renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';

/** A raw film of one grey picture, 320x180 at 15 pictures a second, at `file`. */
export class Film {
  #file;

  constructor(file) {
    this.#file = file;
    this.plug();
  }

  plug() {
    const [width, height] = [320, 180];
    const head = Buffer.from(`YUV4MPEG2 W${width} H${height} F15:1\nFRAME\n`);
    // As a whole, so that nobody opens half of it.
    writeFileSync(`${this.#file}.new`, Buffer.concat([head, Buffer.alloc((width * height * 3) / 2, 0x80)]));
    renameSync(`${this.#file}.new`, this.#file);
  }

  /** What the node has open ends, and there is no other. */
  unplug() {
    truncateSync(this.#file);
    rmSync(this.#file);
  }
}
