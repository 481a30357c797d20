/**
 * The user name and password of a broker that asks everybody for their own. They are typed into the page, sent to that broker
 * alone, and kept for reloads of this tab as a link's secrets are; they never stand in an address.
 */

import { type Connect, withPassword } from "../lib/index.ts";
import { kept, type Kept, type Storage } from "./kept.ts";
import { type Found, type Settings } from "./settings.ts";

/** Who somebody is to a broker. */
export interface Login {
  readonly username: string;
  readonly password: string;
}

/** The way to one broker: with what was typed, else with what the link gave; and no way while somebody has to type first. */
export class Door {
  private login: Login | undefined;
  private isTaken = false;
  private shut: Promise<void> | undefined;
  private open = (): void => undefined;

  /** `password` is the link's, and what has just come with one is newer than what was typed. */
  constructor(
    private readonly settings: Settings,
    private readonly url: string,
    private readonly password: { readonly value: string | undefined; readonly isNew: boolean },
    private readonly storage: () => Storage,
  ) {
    this.login = password.isNew ? undefined : keptLogin(settings, storage);
  }

  /** For a camera: waits while the broker has refused what there is, so that it is not asked again and again. */
  readonly connect: Connect = async () => {
    await this.shut;
    const { url, login, password } = this;
    if (login !== undefined) return withPassword({ url, ...login })();
    return password.value === undefined ? { url } : withPassword({ url, password: password.value })();
  };

  /** Who we are to the broker, as far as somebody has said so. */
  get username(): string | undefined {
    return this.login?.username;
  }

  /** The broker has let us in: what was typed is worth keeping. */
  taken(): void {
    this.isTaken = true;
    if (this.login !== undefined) keepLogin(this.settings, this.login, this.storage);
  }

  /** The broker has not let us in. What it took before may have been refused by chance, and is tried on. Says what is wrong. */
  refused(): string {
    if (!this.isTaken) {
      keepLogin(this.settings, undefined, this.storage);
      this.shut ??= new Promise((open) => {
        this.open = open;
      });
    }
    if (this.login !== undefined) return "The broker did not take this user name and password.";
    if (this.password.value !== undefined) return "The broker did not take the password of this link. Do you have a user name and a password of your own?";
    return "The broker of this camera asks for a user name and a password.";
  }

  /** Somebody has typed these. */
  enter(login: Login): void {
    this.login = login;
    this.isTaken = false;
    this.shut = undefined;
    this.open();
  }
}

/** Keeps a login for a camera, or forgets it. */
export function keepLogin(settings: Settings, login: Login | undefined, storage: () => Storage): void {
  loginOf(settings, storage).set(login === undefined ? undefined : JSON.stringify(login));
}

/** Whether the broker is the node's own, which everybody enters by the link that the node gives. */
export function isOwnBroker({ broker }: Settings, from: Found["from"]): boolean {
  return from === "node" && /^\.?\//.test(broker);
}

function keptLogin(settings: Settings, storage: () => Storage): Login | undefined {
  try {
    const { username, password } = JSON.parse(loginOf(settings, storage).get() ?? "{}") as Partial<Login>;
    return typeof username === "string" && typeof password === "string" ? { username, password } : undefined;
  } catch {
    return undefined;
  }
}

function loginOf(settings: Settings, storage: () => Storage): Kept {
  return kept("login", settings, storage);
}
