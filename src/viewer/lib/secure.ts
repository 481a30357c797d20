/**
 * What a browser keeps back from pages that did not come over https:// or from localhost ("secure contexts"), in words
 * for people.
 */

/** What may be missing. */
export type Lack = "crypto" | "microphone" | "devices" | "clipboard" | "wakeLock";

/** What the browser offers a page, as far as it matters here. */
export interface Offered {
  readonly crypto?: { readonly subtle?: unknown };
  readonly navigator?: { readonly mediaDevices?: object; readonly clipboard?: unknown; readonly wakeLock?: unknown };
}

const SAID: { readonly [L in Lack]: string } = {
  crypto: "This page cannot sign anything",
  microphone: "This page cannot use the microphone",
  devices: "This page cannot list cameras and microphones",
  clipboard: "This page cannot copy to the clipboard",
  wakeLock: "This page cannot keep the screen on",
};

/** The way out, the same for all of them. */
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
export function wordsForLack(lack: Lack, isSecure: boolean = globalThis.isSecureContext): string {
  return isSecure ? `${SAID[lack]}: this browser does not offer it.` : `${SAID[lack]}: it did not come over https://. ${HOW_TO_GET_IT}`;
}

/** Something that the browser keeps back would be needed. */
export class SecureContextNeeded extends Error {
  constructor(
    readonly lack: Lack,
    isSecure?: boolean,
  ) {
    super(wordsForLack(lack, isSecure));
    this.name = "SecureContextNeeded";
  }
}
