/** The microphones and loudspeakers of this machine, for menus of your own: without any UI, and without asking anybody. */

/** A microphone or a loudspeaker. */
export interface Device {
  /** For `camera.talk.start(id)` or {@link useSpeaker}; another one for each site, and new once a person has cleared its data. */
  readonly id: string;
  /** As the system calls it, or a number where the browser does not tell yet. */
  readonly name: string;
}

/** What there is. */
export interface Devices {
  /** What `camera.talk.start` may be given. */
  readonly microphones: readonly Device[];
  /** Empty where the browser leaves the choice to the system, as Safari does. */
  readonly speakers: readonly Device[];
  /** Whether the names are the system's. Browsers tell them, and the ids, once the microphone has been allowed. */
  readonly named: boolean;
}

/** The part of `MediaDeviceInfo` that is needed. */
type Info = Pick<MediaDeviceInfo, "deviceId" | "kind" | "label">;

/** Those that are told of devices, to be told again when the names become known. */
const watchers = new Set<() => void>();

/** What there is now; nothing where the browser gives no list (see `lacking`: pages from plain http://). Never fails. */
export async function devices(): Promise<Devices> {
  const { mediaDevices } = navigator as { mediaDevices?: Partial<MediaDevices> };
  try {
    return sorted((await mediaDevices?.enumerateDevices?.()) ?? []);
  } catch {
    // A page in a frame may not be allowed to.
    return sorted([]);
  }
}

/**
 * Tells what there is: now, whenever something is plugged in or out (`devicechange`), and when the microphone is allowed, by which
 * the names become known. Gives a function that ends it.
 */
export function watchDevices(listener: (devices: Devices) => void): () => void {
  const { mediaDevices, permissions } = navigator as { mediaDevices?: MediaDevices; permissions?: Permissions };
  let ended = false;
  let asked = 0;
  let leave: PermissionStatus | undefined;
  const look = (): void => {
    asked += 1;
    const ours = asked;
    void devices().then((found) => {
      // What was asked for later is newer.
      if (!ended && ours === asked) listener(found);
    });
  };
  watchers.add(look);
  mediaDevices?.addEventListener("devicechange", look);
  // Not every browser tells of the microphone; those mostly report a `devicechange` then.
  void Promise.resolve(permissions?.query({ name: "microphone" }))
    .then((status) => {
      if (ended) return;
      leave = status;
      leave?.addEventListener("change", look);
    })
    .catch(() => undefined);
  look();
  return () => {
    ended = true;
    watchers.delete(look);
    mediaDevices?.removeEventListener("devicechange", look);
    leave?.removeEventListener("change", look);
  };
}

/**
 * Asks the person for the microphone and lets it go at once: what a menu needs to show names. Resolves to whether it was allowed;
 * asked for on a tap, since some browsers ask on nothing else.
 */
export async function allowMicrophone(): Promise<boolean> {
  const { mediaDevices } = navigator as { mediaDevices?: Partial<MediaDevices> };
  try {
    const stream = await mediaDevices?.getUserMedia?.({ audio: true });
    if (stream === undefined) return false;
    for (const track of stream.getTracks()) track.stop();
  } catch {
    return false;
  }
  for (const look of [...watchers]) look();
  return true;
}

/** Whether this browser lets a page choose the loudspeaker (`setSinkId`). */
export function canChooseSpeaker(): boolean {
  return typeof HTMLMediaElement !== "undefined" && "setSinkId" in HTMLMediaElement.prototype;
}

/**
 * Plays an element's sound by the loudspeaker of this id; "" is the system's own choice. Resolves to whether it does: false where
 * the browser does not let pages choose, the device is gone, or the person has not allowed it.
 */
export async function useSpeaker(element: HTMLMediaElement, id: string): Promise<boolean> {
  const { setSinkId } = element as { setSinkId?: (id: string) => Promise<void> };
  if (setSinkId === undefined) return false;
  try {
    await setSinkId.call(element, id);
    return true;
  } catch {
    return false;
  }
}

/** A browser's list in the order in which it stands there. Pure. */
function sorted(all: readonly Info[]): Devices {
  const of = (kind: MediaDeviceKind, word: string): Device[] =>
    all
      .filter((each) => each.kind === kind)
      .map(({ deviceId, label }, index) => ({ id: deviceId, name: label === "" ? `${word} ${index + 1}` : label }));
  return {
    microphones: of("audioinput", "Microphone"),
    speakers: canChooseSpeaker() ? of("audiooutput", "Loudspeaker") : [],
    named: all.some(({ kind, label }) => kind === "audioinput" && label !== ""),
  };
}
