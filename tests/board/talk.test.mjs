// Half a minute of talk at a sound card of the kernel's own, without a gap: node, broker and talker in one machine whose clock is its
// own, so that nothing but the product can make one. (In tests/vm a browser talks, and is held up now and then.)
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { promisify } from 'node:util';

import { binary } from '../browser/processes.mjs';
import { heardIn, writeTone } from '../browser/wav.mjs';
import { startGuest } from '../vm/machine.mjs';

const run = promisify(execFile);
const SPOKEN_HZ = 1_000;
const SPOKEN_S = 30;
/** What a gap may be. */
const GAP_MS = 60;
/** Emulated, and perhaps beside other programs. */
const LIMIT_S = 600;

const CONFIG = `
[node]
id = "talk"
state_folder = "/tmp/state"
[broker]
embedded = true
[ice]
bind = ["127.0.0.1"]
[http]
enabled = false
[[camera]]
[camera.video]
source = "test-pattern"
width = 320
height = 180
fps = 5
[camera.audio]
source = "none"
[camera.speaker]
sink = "alsa"
device = "plughw:CARD=Loopback,DEV=0,SUBDEV=0"
`;
/** Two seconds more than are asked for: who talks begins while the recorder does. */
const TALK = `
/tmp/camera-node watch --no-decode --json --node talk --broker mqtt://127.0.0.1:1883 --talk /tmp/tone.wav --patience 60 \\
  </dev/null >/tmp/watch.log 2>&1 & talker=$!
until grep -q RUNNING /proc/asound/Loopback/pcm0p/sub0/status; do kill -0 $talker || { cat /tmp/node.log /tmp/watch.log; exit 1; }; sleep 0.1; done
arecord -q -D plughw:CARD=Loopback,DEV=1,SUBDEV=0 -t wav -f S16_LE -r 48000 -c 1 -d ${SPOKEN_S + 2} /tmp/heard.wav </dev/null
kill -INT $talker; wait $talker
cp /tmp/heard.wav /share/heard.wav; tc -s qdisc show dev lo`;

test('who talks for half a minute is heard without a gap, also where packets are lost', { timeout: 1_800_000 }, async (t) => {
  const guest = await startGuest(t, 'board-talk', { clock: 'own', bootS: 300, commandS: LIMIT_S });
  await run('strip', ['-o', path.join(guest.share, 'camera-node'), binary]);
  writeTone(path.join(guest.share, 'tone.wav'), SPOKEN_HZ, 4);
  writeFileSync(path.join(guest.share, 'node.toml'), CONFIG);
  await guest.run(
    'modprobe snd-aloop && modprobe sch_netem && cp /share/camera-node /share/tone.wav /share/node.toml /tmp/ && mkdir /tmp/state && ' +
      '(/tmp/camera-node run --config /tmp/node.toml </dev/null >/tmp/node.log 2>&1 & echo $! >/tmp/node.pid)',
  );
  for (const percent of [0, 3]) {
    await t.test(`${percent} % lost`, async (loss) => {
      await guest.run(`tc qdisc replace dev lo root netem loss ${percent}% limit 10000`);
      const said = await guest.run(TALK);
      const dropped = Number(/dropped (\d+)/.exec(said)[1]);
      assert.equal(dropped > 0, percent > 0, said);
      const { hertz, loudMs, stretchMs } = heardIn(path.join(guest.share, 'heard.wav'), GAP_MS);
      loss.diagnostic(`${hertz.toFixed(1)} Hz, ${stretchMs / 1_000} s in one piece of ${loudMs / 1_000} s, ${dropped} packets lost`);
      assert.ok(Math.abs(hertz - SPOKEN_HZ) < SPOKEN_HZ / 100, `${hertz} Hz`);
      assert.ok(stretchMs >= SPOKEN_S * 1_000, `${stretchMs} ms without a gap of ${GAP_MS} ms`);
    });
  }
});
