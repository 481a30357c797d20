/** The sound of a call: two strokes of a bell, again and again, made here. */

/** A major third down, as doorbells have it. */
const STROKES = [
  { hertz: 659.26, at: 0 },
  { hertz: 523.25, at: 0.45 },
] as const;
/** Over- and undertones of a bell, and how loud they are beside the stroke. */
const PARTIALS = [
  { ratio: 1, gain: 1 },
  { ratio: 2, gain: 0.36 },
  { ratio: 3.01, gain: 0.16 },
  { ratio: 5.43, gain: 0.06 },
] as const;
const EVERY_S = 3;
/** As long as a call may ring. */
const ROUNDS = 40;
const FADES_IN_S = 1.8;
const LOUDNESS = 0.22;
/** Where there is a motor: with each pair of strokes. */
const VIBRATION_MS = [240, 160, 320, 2_280];

let context: AudioContext | undefined;

/** Makes ready for later: browsers let a page sound only after somebody has touched it. */
export function tuneIn(): void {
  context ??= new AudioContext();
  if (context.state === "suspended") void context.resume();
}

/** Rings until the function that it gives is called. Without leave to sound it rings as soon as somebody touches the page. */
export function ring(): () => void {
  tuneIn();
  addEventListener("pointerdown", tuneIn);
  addEventListener("keydown", tuneIn);
  const stop = context === undefined ? undefined : strike(context);
  if (mayVibrate()) navigator.vibrate(Array.from({ length: ROUNDS }, () => VIBRATION_MS).flat());
  return () => {
    removeEventListener("pointerdown", tuneIn);
    removeEventListener("keydown", tuneIn);
    stop?.();
    if (mayVibrate()) navigator.vibrate(0);
  };
}

/** Most machines have no motor, and those that do move it only for pages that somebody has touched. */
function mayVibrate(): boolean {
  return "vibrate" in navigator && "userActivation" in navigator && navigator.userActivation.hasBeenActive;
}

/** All strokes are laid down at once: a page in the background may not do so in time. */
function strike(audio: AudioContext): () => void {
  const loudness = audio.createGain();
  loudness.gain.value = LOUDNESS;
  loudness.connect(audio.destination);
  const start = audio.currentTime + 0.05;
  const tones = Array.from({ length: ROUNDS }).flatMap((_, round) =>
    STROKES.flatMap(({ hertz, at }) => PARTIALS.map((partial) => tone(audio, loudness, start + round * EVERY_S + at, hertz * partial.ratio, partial.gain))),
  );
  return () => {
    loudness.gain.setTargetAtTime(0, audio.currentTime, 0.03);
    for (const each of tones) each.stop(audio.currentTime + 0.2);
  };
}

function tone(audio: AudioContext, to: AudioNode, at: number, hertz: number, gain: number): OscillatorNode {
  const oscillator = audio.createOscillator();
  oscillator.frequency.value = hertz;
  const envelope = audio.createGain();
  envelope.gain.setValueAtTime(0, at);
  envelope.gain.linearRampToValueAtTime(gain, at + 0.006);
  envelope.gain.exponentialRampToValueAtTime(0.001, at + FADES_IN_S);
  oscillator.connect(envelope).connect(to);
  oscillator.start(at);
  oscillator.stop(at + FADES_IN_S);
  return oscillator;
}
