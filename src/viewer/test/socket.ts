/** A WebSocket with a broker at its other end that accepts everyone, or refuses; it keeps what was said to it. */

/** What the broker at the other end has read. */
export interface Packet {
  readonly type: "connect" | "subscribe" | "publish" | "ping" | "other";
  readonly bytes: Uint8Array;
}

const TYPES: { readonly [code: number]: Packet["type"] } = { 1: "connect", 3: "publish", 8: "subscribe", 12: "ping" };

/** How the broker answers a CONNECT, and a subscription: codes of MQTT 3.1.1, 3.2.2.3 and 3.9.3; or it cuts the connection. */
export const broker: { connack: number; suback: number | "cut" } = { connack: 0, suback: 1 };

export class FakeSocket extends EventTarget {
  static made: FakeSocket[] = [];
  readonly OPEN = 1;
  readyState = 0;
  binaryType = "blob";
  bufferedAmount = 0;
  readonly packets: Packet[] = [];
  private unread: number[] = [];

  constructor(
    readonly url: string,
    readonly protocols: string[],
  ) {
    super();
    FakeSocket.made.push(this);
    queueMicrotask(() => {
      this.readyState = this.OPEN;
      this.dispatchEvent(new Event("open"));
    });
  }

  static get last(): FakeSocket {
    const last = FakeSocket.made.at(-1);
    if (last === undefined) throw new Error("no socket has been made");
    return last;
  }

  send(data: Uint8Array): void {
    this.unread.push(...data);
    for (let packet = this.take(); packet !== undefined; packet = this.take()) {
      this.packets.push(packet);
      this.answer(packet);
    }
  }

  close(): void {
    this.cut();
  }

  /** The other end closes the connection, as AWS does after a day. */
  cut(): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    queueMicrotask(() => this.dispatchEvent(new Event("close")));
  }

  get said(): string[] {
    return this.packets.map(({ type }) => type);
  }

  /** The other end says something. */
  hear(...bytes: number[]): void {
    const data = Uint8Array.from(bytes).buffer;
    queueMicrotask(() => this.dispatchEvent(Object.assign(new Event("message"), { data })));
  }

  private answer({ type, bytes }: Packet): void {
    const [high = 0, low = 0] = type === "publish" ? bytes.slice(2 + (bytes[0] ?? 0) * 256 + (bytes[1] ?? 0)) : bytes;
    if (type === "connect") this.hear(0x20, 2, 0, broker.connack);
    else if (type === "subscribe" && broker.suback === "cut") this.cut();
    else if (type === "subscribe") this.hear(0x90, 4, high, low, ...Array<number>(2).fill(Number(broker.suback)));
    else if (type === "publish") this.hear(0x40, 2, high, low);
    else if (type === "ping") this.hear(0xd0, 0);
  }

  /** The next whole packet: its type, and what follows the length (MQTT 3.1.1, 2.2). */
  private take(): Packet | undefined {
    let length = 0;
    for (let at = 1; at < this.unread.length && at <= 4; at += 1) {
      const byte = this.unread[at] ?? 0;
      length += (byte & 127) * 128 ** (at - 1);
      if (byte > 127) continue;
      if (this.unread.length < at + 1 + length) return undefined;
      const packet = this.unread.splice(0, at + 1 + length);
      return { type: TYPES[(packet[0] ?? 0) >> 4] ?? "other", bytes: Uint8Array.from(packet.slice(at + 1)) };
    }
    return undefined;
  }
}
