// The package's whole life on a board under systemd: installed, watched, unplugged, rung at, reloaded, wedged, started anew, purged.
import assert from 'node:assert/strict';

import { waitForPicture } from '../browser/page.mjs';
import { Child, binary, until } from '../browser/processes.mjs';
import { plugIn } from './machine.mjs';
import { NODE, startBoard } from './service.mjs';
import { FOUND } from './settings.mjs';
import { stagesOf } from './stages.mjs';
import { SOON_MS, moves, seesAndHears, seesItsCameraReplugged } from './viewing.mjs';

const JOINS = 20;

/** The button is wired as most are not: to the supply. The kernel debounces it as it would any. */
const BELL = '[ring]\ngpio_line = 3\ngpio_pull = "as-is"\ngpio_active_low = false\n';

/** Stops one thread of the service and no other, as a driver that does not return would. */
const FREEZE = `
  pid=$(systemctl show -p MainPID --value camera-node)
  for task in /proc/$pid/task/*; do [ "$(cat $task/comm)" != capture-main ] || thread=\${task##*/}; done
  group=/sys/fs/cgroup/system.slice/camera-node.service/wedged
  mkdir -p $group && echo threaded >$group/cgroup.type && echo $thread >$group/cgroup.threads && echo 1 >$group/cgroup.freeze`;

/** What would still be there of it. */
const REMAINS = "find /etc /usr /var/lib /run -name '*camera-node*' ! -path '/var/lib/dpkg/*' ! -path '/var/lib/systemd/*' ! -path '/run/*/units/*'";

/**
 * The package `deb` on a board of `kind`. Where that has a GPIO chip `press(guest)` is who comes to the door: line 3 goes up for a
 * moment.
 */
export async function live(t, { name, kind, deb, press }) {
  const board = await startBoard(t, name, kind, { unplugged: true, camera: FOUND });
  const { guest, heard } = board;
  const stage = stagesOf(t, board.lap);
  const bell = press ? BELL : '';
  let page;

  await stage('installed, and nothing asked, it runs', async () => {
    await board.install(deb);
    const fresh = await board.show('ActiveState', 'SubState', 'NRestarts', 'User', 'UnitFileState', 'StatusText');
    const expected = { ActiveState: 'active', SubState: 'running', NRestarts: '0', User: 'camera-node', UnitFileState: 'enabled' };
    assert.deepEqual({ ...fresh, ...expected }, fresh);
    assert.match(fresh.StatusText, /0 viewers/);
    await board.says('nothing is plugged in', 'camera missing (none was found: the test pattern is shown');
    await board.says('nothing is plugged in', 'microphone missing');
    assert.match(await guest.run('systemd-analyze security --no-pager --threshold=25 camera-node'), /Overall exposure level.*: [012]\.\d/);
  });

  await stage('with its certificate it is let in by the broker', async () => {
    await board.bringOnline({ more: bell });
    const times = await board.show('ExecMainStartTimestampMonotonic', 'ActiveEnterTimestampMonotonic');
    t.diagnostic(`ready ${(times.ActiveEnterTimestampMonotonic - times.ExecMainStartTimestampMonotonic) / 1000} ms after its start`);
  });

  await stage('a camera that is plugged in late takes the place of the test pattern', async () => {
    page = await board.openPage();
    await waitForPicture(page, SOON_MS);
    await until('the page tells', async () => (await page.getByTestId('state').textContent()) === 'Live, microphone main away', SOON_MS);
    const warns = (part) => heard.status?.state_detail?.warnings?.some((warning) => warning.startsWith(part));
    assert.ok(warns('camera main missing: none was found'), JSON.stringify(heard.status));
    await plugIn(guest);
    await until('it is found', () => !warns('camera') && !warns('microphone'), SOON_MS);
    await board.says('systemd is told', 'camera ok');
    assert.match(await board.log(), /plugged in: it takes the place of the test pattern/);
    assert.equal(heard.joins(), 1, 'in the same session');
  });

  await stage('it is seen and heard', () => seesAndHears(page, name));

  await stage(`${JOINS} times somebody joins`, async () => {
    for (let join = 1; join < JOINS; join += 1) {
      await page.reload();
      await waitForPicture(page, SOON_MS);
    }
    assert.ok(heard.joins() >= JOINS, `${heard.joins()} joins`);
  });

  await stage('its camera is pulled out and put back', () =>
    seesItsCameraReplugged(t, { guest, heard, page, name, whileAway: () => board.says('systemd is told', 'camera away') }));

  if (press) await stage('a button at its GPIO line rings a viewer, who accepts and sees', async () => {
    const mode = await guest.run('stat -c "%G %a" /dev/gpiochip0');
    assert.equal(mode.trim(), 'gpio 660', "the package's udev rule");
    const args = ['watch', '--broker', board.broker, '--node', NODE, '--register', 'Kitchen', '--seconds', '1', '--patience', '120'];
    const kitchen = new Child(t, `${name}-kitchen`, binary, args);
    await kitchen.before(until('Kitchen is registered', () => heard.types('out').includes('registered'), SOON_MS));
    // Whoever is not heard presses again.
    const rings = async () => {
      await press(guest);
      return until('it rings', () => heard.types('out').includes('call'), 10_000).catch(() => false);
    };
    await until('the bell rings', rings, SOON_MS);
    assert.equal((await kitchen.ended).code, 0, `Kitchen has seen pictures: ${kitchen.log}`);
    assert.match(await board.log(), /rings.*source="gpio".*names="Kitchen"/);
  });

  await stage('its config is read again, wrong and right, and nobody is sent away', async () => {
    const before = heard.joins();
    const { MainPID } = await board.show('MainPID');
    await guest.run(`${board.write({ more: `${bell}\n[no_such_section]` })} && systemctl reload camera-node`);
    await board.says('the config is refused', 'config refused');
    await guest.run(`${board.write({ name: 'Garden', more: bell })} && systemctl reload camera-node`);
    await until('the new name is told', () => heard.status?.name === 'Garden', SOON_MS);
    await moves(page);
    assert.equal((await board.show('MainPID')).MainPID, MainPID);
    assert.equal(heard.joins(), before, 'nobody had to come again');
  });

  /** Waits until systemd has started the service once more, and whoever watches sees again. */
  const startedAgain = async (before) => {
    await until('it is started again', async () => Number((await board.show('NRestarts')).NRestarts) > before, 2 * SOON_MS);
    await until('it is online again', async () => (await board.show('SubState')).SubState === 'running' && board.isOnline(), SOON_MS);
    await moves(page);
  };

  await stage('a capture thread that hangs ends the process, and systemd starts another', async () => {
    const before = Number((await board.show('NRestarts')).NRestarts);
    await guest.run(FREEZE);
    await startedAgain(before);
    assert.match(await board.log(), /no sign of life.*part="capture-main"/);
  });

  await stage('a process that hangs as a whole is ended by the watchdog', async () => {
    const before = Number((await board.show('NRestarts')).NRestarts);
    await guest.run('kill -STOP $(systemctl show -p MainPID --value camera-node)');
    await startedAgain(before);
    assert.match(await board.log(), /Watchdog timeout/);
  });

  await stage('switched off and on, it comes back by itself', async () => {
    // As if they were plugged in.
    await guest.run('printf "vivid\\nsnd-aloop\\n" >/etc/modules-load.d/devices.conf; echo options vivid n_devs=1 node_types=0x1 >/etc/modprobe.d/devices.conf');
    const { boot } = heard.status;
    const { began, up } = await guest.cutPower();
    await page.reload();
    await until('it is online', () => board.isOnline() && heard.status.boot !== boot, 2 * SOON_MS);
    const online = Date.now() - began;
    await waitForPicture(page, SOON_MS);
    t.diagnostic(`from power on: online after ${online} ms, picture after ${Date.now() - began} ms`);
    await up;
  });

  await stage('purged, it takes its leave, and leaves nothing', async () => {
    await guest.run('rm -r /etc/camera-node/*.pem /etc/camera-node/*.key && dpkg --force-unsafe-io -P camera-node </dev/null');
    await until('the node is offline', () => heard.status?.state === 'offline', SOON_MS);
    assert.equal((await board.show('LoadState')).LoadState, 'not-found');
    assert.equal((await guest.run(REMAINS)).trim(), '');
    assert.equal((await guest.run('pgrep -x camera-node || echo none')).trim(), 'none');
  });
}
