/** The connection to the broker: MQTT 3.1.1 over WebSocket by mqtt.js. It carries messages and understands none. */

import mqtt from "mqtt";

import type { LinkProblem } from "./core/state.ts";
import { isId } from "./core/topics.ts";
import { SecureContextNeeded } from "./secure.ts";

/** Where the broker is, and who we are to it. */
export interface Endpoint {
  /** `wss://host/path` or `ws://…`; a user name and password may stand in it. */
  url: string;
  /** MQTT client id and peer id in one; this tab's own when absent. */
  clientId?: string;
  /** Of MQTT's CONNECT. */
  username?: string;
  /** The same. */
  password?: string;
  /** WebSocket subprotocols; `mqtt` when absent. */
  protocols?: string[];
}

/** Asked for the way to the broker before every connection, the first one and each after it. */
export type Connect = () => Promise<Endpoint>;

/** What the connection reports. */
export interface LinkListener {
  /** Connected as this peer, subscriptions acknowledged. */
  up(peer: string): void;
  down(problem: LinkProblem, detail: string): void;
  message(topic: string, payload: string, retain: boolean): void;
}

/** A broker that has not answered for so long is not there. */
const CONNECT_LIMIT_MS = 8_000;
/** Pictures do not need the broker, so a slow discovery of its loss costs nothing; a wake-up asks at once. */
const KEEP_ALIVE_S = 30;

export class Link {
  private client: mqtt.MqttClient | undefined;
  private socket: WebSocket | undefined;
  /** Connections in a row that the broker has accepted, and then cut before it acknowledged the subscriptions. */
  private cutShort = 0;
  /** Counts the connections: what an older one still reports is void. */
  private generation = 0;

  constructor(
    private readonly endpoint: () => Promise<Required<Pick<Endpoint, "clientId">> & Endpoint>,
    private readonly subscriptions: (peer: string) => string[],
    private readonly listener: LinkListener,
  ) {}

  /** Connects anew; an older connection is over. */
  connect(): void {
    this.close();
    const generation = this.generation;
    this.endpoint().then(
      (endpoint) => {
        if (generation !== this.generation) return;
        try {
          this.open(endpoint);
        } catch (error) {
          // The browser takes neither every port nor every name of a subprotocol.
          this.listener.down("badAddress", error instanceof Error ? error.message : String(error));
        }
      },
      (error: unknown) => {
        if (generation !== this.generation) return;
        const problem = error instanceof SecureContextNeeded ? "noCrypto" : "noAddress";
        this.listener.down(problem, error instanceof Error ? error.message : String(error));
      },
    );
  }

  /** Ends the connection; it reports nothing any more. */
  close(): void {
    this.generation += 1;
    const client = this.client;
    this.client = undefined;
    // What is on its way still goes out; a dead connection is not waited for.
    client?.end(client.connected ? false : true);
  }

  /** Publishes with QoS 1; lost without a connection, which the protocol's own repetition mends. */
  publish(topic: string, payload: string): void {
    if (this.client?.connected === true) this.client.publish(topic, payload, { qos: 1 });
  }

  /**
   * Publishes within this very call, with QoS 0. mqtt.js writes a little later, and a page that is being left has no
   * later.
   */
  publishAtOnce(topic: string, payload: string): void {
    if (this.client?.connected === true) this.socket?.send(publishPacket(topic, payload));
  }

  private open(endpoint: Required<Pick<Endpoint, "clientId">> & Endpoint): void {
    const { clientId } = endpoint;
    const parsed = parse(endpoint.url);
    if (parsed === undefined || !isId(clientId)) {
      this.listener.down("badAddress", parsed === undefined ? wrongWith(endpoint.url) : "not a peer id");
      return;
    }
    if (isForbidden(parsed.url)) {
      this.listener.down("insecure", "ws:// from a page of https://");
      return;
    }
    const generation = this.generation;
    const current = (): boolean => generation === this.generation;
    const password = endpoint.password ?? parsed.password;
    // MQTT 3.1.1 knows no password without a user name (3.1.2.9); a broker for everybody with the password takes the id.
    const username = endpoint.username ?? parsed.username ?? (password === undefined ? undefined : clientId);
    const client = mqtt.connect({
      protocol: parsed.url.startsWith("wss") ? "wss" : "ws",
      forceNativeWebSocket: true,
      // Not used, but it would ask the page for one.
      hostname: new URL(parsed.url).hostname,
      // The address goes to the browser as it is: signed ones must not be taken apart.
      createWebsocket: () => (this.socket = new WebSocket(parsed.url, endpoint.protocols ?? ["mqtt"])),
      protocolVersion: 4,
      clean: true,
      clientId,
      ...(username !== undefined && { username }),
      ...(password !== undefined && { password }),
      keepalive: KEEP_ALIVE_S,
      connectTimeout: CONNECT_LIMIT_MS,
      // When to connect again is decided elsewhere.
      reconnectPeriod: 0,
      resubscribe: false,
      queueQoSZero: false,
      // The other kind runs in a worker made of a blob, which a page's security policy may forbid.
      timerVariant: "native",
    });
    this.client = client;
    let problem: LinkProblem = "unreachable";
    let detail = "";
    const down = (): void => {
      if (!current()) return;
      this.close();
      this.listener.down(problem, detail);
    };
    client.on("connect", () => {
      if (!current()) return;
      // Once may be chance; again, it is how AWS refuses topics.
      problem = this.cutShort > 0 ? "topicsRefused" : "lost";
      this.cutShort += 1;
      client.subscribe(this.subscriptions(clientId), { qos: 1 }, (error, granted) => {
        if (!current()) return;
        // 128 is the broker's no (MQTT 3.1.1, 3.9.3).
        if (error ?? granted?.some(({ qos }) => (qos as number) === 128)) {
          if (client.connected) problem = "topicsRefused";
          down();
        } else {
          this.cutShort = 0;
          problem = "lost";
          this.listener.up(clientId);
        }
      });
    });
    client.on("message", (topic, payload, packet) => {
      if (current()) this.listener.message(topic, new TextDecoder().decode(payload), packet.retain);
    });
    client.on("error", (error) => {
      // Reason codes 4 and 5: bad user name or password, not authorised (MQTT 3.1.1, 3.2.2.3).
      const code: unknown = (error as { code?: unknown }).code;
      if (code === 4 || code === 5) problem = "unauthorized";
      detail = error.message;
    });
    client.on("close", down);
  }
}

/** A PUBLISH of QoS 0 (MQTT 3.1.1, 3.3). */
export function publishPacket(topic: string, payload: string): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const name = encoder.encode(topic);
  const body = encoder.encode(payload);
  const length: number[] = [];
  // The remaining length in groups of seven bits, the lowest first (2.2.3).
  for (let rest = 2 + name.length + body.length; rest > 0; rest >>>= 7) length.push((rest & 127) | (rest > 127 ? 128 : 0));
  return Uint8Array.from([0x30, ...length, name.length >> 8, name.length & 255, ...name, ...body]);
}

/** The address for the browser, and what stood in it about the user; `undefined` when it is none. */
export function parse(address: string): { url: string; username?: string; password?: string } | undefined {
  try {
    const url = new URL(address);
    if (url.protocol !== "ws:" && url.protocol !== "wss:") return undefined;
    const { username, password } = url;
    const user = { ...(username && { username: decodeURIComponent(username) }), ...(password && { password: decodeURIComponent(password) }) };
    if (username === "" && password === "" && url.hash === "") return { url: address };
    url.username = url.password = url.hash = "";
    return { url: url.href, ...user };
  } catch {
    return undefined;
  }
}

/** What is wrong with an address that is none, without what may be secret in it. */
function wrongWith(address: string): string {
  const scheme = /^[a-z][a-z0-9+.-]*:/i.exec(address)?.[0];
  if (scheme === undefined || /^wss?:$/i.test(scheme)) return "not a ws:// or wss:// address";
  return `an address that begins with ${scheme} instead of wss:// or ws://`;
}

/** Whether a browser forbids this address to the page: plain WebSockets from a secure page, loopback excepted. */
function isForbidden(address: string): boolean {
  const { protocol, hostname } = new URL(address);
  const loopback = hostname === "localhost" || hostname.startsWith("127.") || hostname === "[::1]";
  return location.protocol === "https:" && protocol === "ws:" && !loopback;
}
