// A camera in React: npm install && npm run build, serve the folder on http://localhost or by https://, and open
// index.html?broker=wss://broker.example.org/mqtt&node=porch
import { type PointerEvent, StrictMode, useEffect, useRef, useState } from "react";
import { createRoot } from "react-dom/client";

import { useCamera, type Watched } from "./useCamera";

function App({ broker, node, token }: { broker: string; node: string; token?: string }) {
  const watched = useCamera({ broker, node, ...(token !== undefined && { token }) });
  return watched === undefined ? <p role="status">Starting …</p> : <View {...watched} />;
}

function View({ camera, state, talk, stream, stats }: Watched) {
  const video = useRef<HTMLVideoElement>(null);
  const [isMuted, setMuted] = useState(true);
  useEffect(() => {
    if (video.current !== null) video.current.srcObject = stream ?? null;
  }, [stream]);
  const isOver = state.state === "idle" || state.state === "refused";
  return (
    <main>
      <video ref={video} autoPlay muted={isMuted} playsInline />
      <p role="status">
        <strong>{state.title}.</strong> {talk.text ?? `${state.text} ${state.hint}`}
      </p>
      {state.state !== "connecting" && state.state !== "live" && <button onClick={() => camera.start()}>Connect</button>}
      {(stream?.getAudioTracks().length ?? 0) > 0 && (
        <button aria-pressed={!isMuted} onClick={() => setMuted(!isMuted)}>
          Sound
        </button>
      )}
      {talk.state !== "off" && (
        <button className="talk" aria-pressed={talk.state === "on"} onPointerDown={begin} onPointerUp={end} onPointerCancel={end}>
          Hold to talk
        </button>
      )}
      {!isOver && <button onClick={() => camera.stop()}>Hang up</button>}
      {stats !== undefined && (
        <p>
          {stats.width} × {stats.height}, {stats.fps?.toFixed(0)} pictures a second, round trip {stats.roundTripMs?.toFixed(0)} ms
        </p>
      )}
    </main>
  );

  // The microphone is asked for at the first press.
  function begin(event: PointerEvent<HTMLButtonElement>) {
    event.currentTarget.setPointerCapture(event.pointerId);
    void camera.talk.start();
  }
  function end() {
    camera.talk.stop();
  }
}

const asked = new URLSearchParams(location.search);
const root = document.getElementById("root");
const token = asked.get("token");
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      <App
        broker={asked.get("broker") ?? "wss://broker.example.org/mqtt"}
        node={asked.get("node") ?? "porch"}
        {...(token !== null && { token })}
      />
    </StrictMode>,
  );
}
