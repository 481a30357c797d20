import { useEffect, useState } from "react";

import { Camera, type CameraOptions, type CameraState, type Stats, type TalkState } from "camera-node-viewer";

/** A camera as a component sees it. */
export interface Watched {
  readonly camera: Camera;
  readonly state: CameraState;
  readonly talk: TalkState;
  readonly stream: MediaStream | undefined;
  readonly stats: Stats | undefined;
}

/** Watches a camera as long as the component is there; `undefined` until it has begun. Another node or broker is another camera. */
export function useCamera({ broker, node, token }: Pick<CameraOptions, "broker" | "node" | "token">): Watched | undefined {
  const [watched, setWatched] = useState<Watched>();
  useEffect(() => {
    const camera = new Camera({
      node,
      wants: { video: true, audio: true, talk: true },
      ...(broker !== undefined && { broker }),
      ...(token !== undefined && { token }),
    });
    const tell = (news: Partial<Watched>): void => {
      setWatched((before) => ({ camera, state: camera.state, talk: camera.talk.state, stream: undefined, stats: undefined, ...before, ...news }));
    };
    setWatched(undefined);
    const ends = [
      camera.on("state", (state) => tell({ state })),
      camera.on("talk", (talk) => tell({ talk })),
      camera.on("stats", (stats) => tell({ stats })),
      camera.on("stream", (got) => tell({ stream: got?.stream })),
    ];
    camera.start();
    return () => {
      for (const end of ends) end();
      camera.stop();
    };
  }, [broker, node, token]);
  return watched;
}
