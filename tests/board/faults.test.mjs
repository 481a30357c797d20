// Rows of deploy/faults.md that only a machine of its own can show: the kernel's devices go wrong under the service that systemd
// has shut in, while a browser watches.
import assert from 'node:assert/strict';
import test from 'node:test';

import { listen } from '../browser/observe.mjs';
import { waitForPicture } from '../browser/page.mjs';
import { until } from '../browser/processes.mjs';
import { prominenceDb } from '../browser/sound.mjs';
import { PLATFORM, TONE_HZ, play } from '../vm/machine.mjs';
import { startBoard } from '../vm/service.mjs';
import { stagesOf } from '../vm/stages.mjs';
import { SOON_MS, moves, showsCard } from '../vm/viewing.mjs';

const deb = process.env.CAMERA_NODE_AMD64_DEB;
const RULE = '/run/udev/rules.d/99-denied.rules';
/** The board has no program for it but its shell. */
const ASK = `bash -c 'exec 3<>/dev/tcp/127.0.0.1/8080; printf "GET /healthz HTTP/1.0\\r\\n\\r\\n" >&3; sed "1,/^\\r$/d" <&3'`;
const skip = deb ? false : 'no package for amd64 (CAMERA_NODE_AMD64_DEB)';

test('what goes wrong on a board is told, and heals', { timeout: 900_000, skip }, async (t) => {
  const board = await startBoard(t, 'board-faults', 'amd64-board');
  const { guest, heard } = board;
  const stage = stagesOf(t, board.lap);
  await board.install(deb);
  await board.bringOnline({ more: '[http]\nbind = "127.0.0.1:8080"\n' });
  const page = await board.openPage();
  await waitForPicture(page, SOON_MS);
  board.lap('it is watched');
  const { MainPID } = await board.show('MainPID');
  /** A part's state, by its word; and whether a monitor would be told to start the node anew. */
  const part = async (name) => JSON.parse(await guest.run(ASK)).parts[name];
  const becomes = (name, word) => until(`${name} is ${word}`, async () => (await part(name))?.detail.startsWith(word), SOON_MS);
  const sees = async () => {
    await until('the camera runs', () => board.camera() === 'running', SOON_MS);
    await moves(page);
  };

  /** Pulls the camera out and puts it back in; as udev has it for a moment after each plug it stays, until `allow`. */
  const deny = async () => {
    const rule = 'SUBSYSTEM=="video4linux", GROUP="root", MODE="0600"';
    await guest.run(`mkdir -p /run/udev/rules.d && echo '${rule}' >${RULE} && udevadm control --reload && echo vivid.0 >${PLATFORM}/vivid/unbind`);
    await becomes('camera:main', 'away');
    // Its number is free once the last of its pictures is gone, and then it is /dev/video0 again.
    await showsCard(page);
    await guest.run(`echo vivid.0 >${PLATFORM}/vivid/bind`);
  };
  const allow = () => guest.run(`rm ${RULE} && udevadm control --reload && udevadm trigger --action=add --subsystem-match=video4linux`);

  await stage('a camera whose file is not ours is waited for, and is opened once it is', async () => {
    await deny();
    await becomes('camera:main', 'denied');
    assert.equal((await part('camera:main')).state, 'waiting');
    await showsCard(page);
    await allow();
    await sees();
  });

  await stage('a camera that another program holds is taken once that lets go', async () => {
    await deny();
    await guest.run(
      'v4l2-ctl -d0 --stream-mmap --stream-to=/dev/null </dev/null >/tmp/holder.log 2>&1 & echo $! >/tmp/holder; ' +
        'until [ -s /tmp/holder.log ]; do kill -0 $(cat /tmp/holder) || exit; sleep 0.1; done',
    );
    await allow();
    await becomes('camera:main', 'busy');
    await showsCard(page);
    await guest.run('kill $(cat /tmp/holder)');
    await sees();
  });

  await stage('a camera that gives no pictures is silent, and is seen again when it gives some', async () => {
    await guest.run('v4l2-ctl -d0 -c percentage_of_dropped_buffers=100');
    await becomes('camera:main', 'stalled');
    await showsCard(page);
    await guest.run('v4l2-ctl -d0 -c percentage_of_dropped_buffers=0');
    await sees();
  });

  await stage('a stream that fails in its driver begins anew', async () => {
    const failures = async () => (await board.log()).match(/part="camera:main" state="failed"/g)?.length ?? 0;
    const before = await failures();
    await guest.run('v4l2-ctl -d0 -c inject_fatal_streaming_error=1');
    await until('it has failed', async () => (await failures()) > before, SOON_MS);
    await sees();
  });

  await stage('a sound card that is pulled out costs no picture, and is heard again', async () => {
    await guest.run(`kill $(cat /tmp/player.pid); echo snd_aloop.0 >${PLATFORM}/snd_aloop/unbind`);
    await becomes('microphone:main', 'away');
    await moves(page);
    await guest.run(`echo snd_aloop.0 >${PLATFORM}/snd_aloop/bind`);
    await play(guest);
    await becomes('microphone:main', 'live');
    const isHeard = async () => {
      const { binHertz, spectrum } = await listen(page, 1);
      return prominenceDb(spectrum, binHertz, TONE_HZ) > 20;
    };
    await until('its tone is heard', isHeard, SOON_MS);
  });

  await stage('a clock that is set an hour forth and back stops nothing', async () => {
    for (const step of ['+1 hour', '-1 hour']) {
      await guest.run(`date -s '${step}' >/dev/null`);
      await moves(page);
    }
    assert.equal(board.camera(), 'running');
  });

  await stage('without any address it waits for one, and goes on with it', async () => {
    // Commands come and go by another way.
    await guest.run('ip addr flush dev eth0 && ip link set eth0 down');
    await becomes('network', 'away');
    await guest.run('ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0 && ip route add default via 10.0.2.2');
    await becomes('network', 'live');
    await becomes('broker', 'live');
    await sees();
  });

  assert.equal((await board.show('MainPID')).MainPID, MainPID, 'one process for all of it');
  t.diagnostic(`${heard.joins()} sessions`);
});
