/**
 * What a browser keeps back from pages that did not come over https:// or from localhost ("secure contexts"), in words
 * for people.
 */

/** What may be missing. */
export type Lack = "crypto" | "microphone" | "devices" | "clipboard" | "wakeLock";

/** What the browser offers a page, as far as it matters here. */
export interface Offered {
  /** Of WebCrypto. */
  readonly crypto?: { readonly subtle?: unknown };
  /** Of the `navigator`. */
  readonly navigator?: { readonly mediaDevices?: object; readonly clipboard?: unknown; readonly wakeLock?: unknown };
}

const SAID: { readonly [L in Lack]: string } = {
  crypto: "This page cannot sign anything",
  microphone: "This page cannot use the microphone",
  devices: "This page cannot list cameras and microphones",
  clipboard: "This page cannot copy to the clipboard",
  wakeLock: "This page cannot keep the screen on",
};

/** What people would miss; the rest they only notice when it is needed. */
const MISSED: { readonly [L in Lack]?: string } = {
  microphone: "your microphone",
  devices: "the list of your devices",
  wakeLock: "a screen that stays on",
};

/** The way out where no address is known. */
export const HOW_TO_GET_IT = "Open the page at an https:// address, or at http://localhost on the camera's own machine.";

/** What this page does without. A browser may lack something for other reasons too, so each is looked at itself. */
export function lacking(offered: Offered = globalThis): Lack[] {
  const { crypto, navigator } = offered;
  const media = navigator?.mediaDevices ?? {};
  const there: { readonly [L in Lack]: boolean } = {
    crypto: crypto?.subtle !== undefined,
    microphone: "getUserMedia" in media,
    devices: "enumerateDevices" in media,
    clipboard: navigator?.clipboard !== undefined,
    wakeLock: navigator?.wakeLock !== undefined,
  };
  return (Object.keys(there) as Lack[]).filter((each) => !there[each]);
}

/** What cannot be done for want of this, in a sentence; and if an address with https:// would bring it, that too. */
export function wordsForLack(lack: Lack, isSecure: boolean = globalThis.isSecureContext, https?: string): string {
  return isSecure ? `${SAID[lack]}: this browser does not offer it.` : `${SAID[lack]}: it did not come over https://. ${howToGetIt(https)}`;
}

/** The way out: to `https`, where the same page is served over https, if that is known. */
export function howToGetIt(https?: string): string {
  return https === undefined ? HOW_TO_GET_IT : `Open the page at ${https}`;
}

/** All that a page does without for not having come over https://, in a sentence or two; `undefined` where that is not why. */
export function wordsForLacks(lacks: readonly Lack[], isSecure: boolean = globalThis.isSecureContext, https?: string): string | undefined {
  const missing = lacks.filter((lack) => MISSED[lack] !== undefined).map((lack) => MISSED[lack]);
  if (isSecure || missing.length === 0) return undefined;
  const list = missing.length === 1 ? missing[0] : `${missing.slice(0, -1).join(", ")} and ${missing.at(-1)}`;
  return `Not over https://, so your browser keeps back ${list}. ${howToGetIt(https)}`;
}

/** Something that the browser keeps back would be needed. */
export class SecureContextNeeded extends Error {
  constructor(
    /** What it is. */
    readonly lack: Lack,
    isSecure?: boolean,
  ) {
    super(wordsForLack(lack, isSecure));
    this.name = "SecureContextNeeded";
  }
}
