/** The data channels of one session, by label. */

import { Control, ControlError, readControlError } from "./control.ts";
import { readTelemetry, type Telemetry } from "./telemetry.ts";

/** What channels bring. */
export interface ChannelsListener {
  channel(channel: RTCDataChannel): void;
  control(control: Control | undefined): void;
  telemetry(telemetry: Telemetry): void;
  closed(label: string, error: ControlError): void;
}

/** Opening takes a round trip or two. */
const OPEN_WITHIN_MS = 10_000;

export class Channels {
  private readonly open = new Map<string, RTCDataChannel>();
  /** All that have not been closed, also where several have one label. */
  private readonly all = new Set<RTCDataChannel>();
  private control: Control | undefined;
  /** Why channels of ours were closed, for whoever waits for them. */
  private readonly refusals = new Map<string, (error: ControlError) => void>();

  constructor(private readonly listener: ChannelsListener) {}

  /** One that the node has opened. */
  add(channel: RTCDataChannel): void {
    const { label } = channel;
    this.keep(channel);
    if (label === "telemetry") {
      channel.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
        const telemetry = readTelemetry(data);
        if (telemetry !== undefined) this.listener.telemetry(telemetry);
      });
    }
    if (label === "control") {
      const control = new Control(channel, (name, params) => {
        this.event(name, params);
      });
      this.whenOpen(channel, () => {
        this.control = control;
        this.listener.control(control);
      });
      channel.addEventListener("close", () => {
        if (this.control !== control) return;
        this.control = undefined;
        this.listener.control(undefined);
      });
    }
    this.listener.channel(channel);
  }

  /** The channel of this label, while it is open. */
  get(label: string): RTCDataChannel | undefined {
    const channel = this.open.get(label);
    return channel?.readyState === "open" ? channel : undefined;
  }

  /** One of ours, once it is open. */
  async opened(channel: RTCDataChannel): Promise<RTCDataChannel> {
    const { label } = channel;
    this.keep(channel);
    await new Promise<void>((resolve, reject: (error: ControlError) => void) => {
      const timer = setTimeout(() => {
        settle();
        reject(new ControlError(51, "TimeoutError", `the channel ${label} did not open: is it in wants.channels?`));
        channel.close();
      }, OPEN_WITHIN_MS);
      const settle = (): void => {
        clearTimeout(timer);
        this.refusals.delete(label);
      };
      this.refusals.set(label, (error) => {
        settle();
        reject(error);
      });
      this.whenOpen(channel, () => {
        settle();
        resolve();
      });
      channel.addEventListener("close", () => {
        settle();
        reject(new ControlError(59, "AbortError", `the channel ${label} was closed`));
      });
    });
    return channel;
  }

  /** The session is over: browsers tell no channel's listener of a connection that was closed here. */
  end(): void {
    this.open.clear();
    for (const channel of [...this.all]) channel.dispatchEvent(new Event("close"));
    if (this.control !== undefined) this.listener.control(undefined);
    this.control = undefined;
  }

  private keep(channel: RTCDataChannel): void {
    const { label } = channel;
    this.open.set(label, channel);
    this.all.add(channel);
    channel.addEventListener("close", () => {
      this.all.delete(channel);
      if (this.open.get(label) === channel) this.open.delete(label);
    });
  }

  private whenOpen(channel: RTCDataChannel, then: () => void): void {
    if (channel.readyState === "open") then();
    else channel.addEventListener("open", then, { once: true });
  }

  private event(name: string, params: unknown): void {
    if (name !== "channelClosed" || typeof params !== "object" || params === null) return;
    const { label, error } = params as Record<string, unknown>;
    const failure = readControlError(error);
    if (typeof label !== "string" || failure === undefined) return;
    this.refusals.get(label)?.(failure);
    this.listener.closed(label, failure);
  }
}
