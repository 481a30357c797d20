/** Says what this page does without because it came over http, and leads to where it does not. */

import { lacking, wordsForLacks } from "../lib/index.ts";
import { notice } from "./elements.ts";
import { fragmentOf, type Secrets } from "./secrets.ts";

/** Shows the notice where there is something to say; `https` is where the node serves this page over https, if it does. */
export function showLacks(https: string | undefined, secrets: Secrets): void {
  const text = wordsForLacks(lacking(), isSecureContext, https);
  notice.hidden = text === undefined;
  if (text === undefined) return;
  const link = https === undefined ? undefined : document.createElement("a");
  if (link === undefined || https === undefined) {
    notice.textContent = text;
    return;
  }
  // Whoever follows it need not look for the invitation again.
  link.href = `${https}${fragmentOf(secrets)}`;
  link.textContent = https;
  notice.replaceChildren(text.slice(0, text.lastIndexOf(https)), link);
}
