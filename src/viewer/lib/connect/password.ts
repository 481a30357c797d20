/** A broker that asks for a user name and a password. */

import type { Connect } from "../link.ts";

/** What {@link withPassword} needs. */
export interface PasswordOptions {
  /** `wss://…` or `ws://…` */
  url: string;
  /** The client id when absent, as the broker inside a node wants it. */
  username?: string;
  /** The password, or what fetches one: asked anew for every connection. */
  password: string | (() => string | Promise<string>);
  /** MQTT client id and peer id in one; this tab's own when absent. */
  clientId?: string;
  /** WebSocket subprotocols; `mqtt` when absent. */
  protocols?: string[];
}

/** Connects with a user name and a password. */
export function withPassword({ password, ...rest }: PasswordOptions): Connect {
  return async () => ({ ...rest, password: typeof password === "string" ? password : await password() });
}
