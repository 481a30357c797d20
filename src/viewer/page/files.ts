/** The node's folder of files in the panel, for whom it is: to be fetched and deleted. */

import { type Camera, ControlError, type FileInfo, Files } from "../lib/index.ts";
import { files as elements } from "./elements.ts";
import { newestFirst, PAGE, savedWords } from "./filelist.ts";
import { type FileRow, fileRow } from "./filerow.ts";
import { save } from "./save.ts";
import { notify } from "./toast.ts";

/** One that is on its way. */
interface Coming {
  readonly end: AbortController;
  received: number;
}

/** Makes the list work; gives the way to look what there is now. */
export function followFiles(camera: Camera): { look: () => void } {
  const files = new Files(camera);
  const coming = new Map<string, Coming>();
  let all: FileInfo[] = [];
  let rows = new Map<string, FileRow>();
  let shown = PAGE;
  let looks = 0;
  let toDelete: string | undefined;

  const look = (): void => {
    looks += 1;
    const ours = looks;
    files.list().then(
      (found) => {
        // What was asked for later is newer.
        if (ours === looks) show(newestFirst(found), found.length === 0 ? "There are none now." : "");
      },
      (error: unknown) => {
        if (ours !== looks) return;
        const isNone = !(error instanceof ControlError) || isNoFolder(error);
        // Without the right to ask, nobody tells why a channel is not answered.
        const isUnheard = elements.section.hidden && error instanceof ControlError && error.name === "TimeoutError";
        if (isNone || isUnheard) elements.section.hidden = true;
        else show([], error.message);
      },
    );
  };

  // The channel's own end may come late, or never.
  camera.on("channelClosed", ({ label, error }) => {
    if (label !== "files" || !isNoFolder(error)) return;
    looks += 1;
    elements.section.hidden = true;
  });

  const show = (found: FileInfo[], words: string): void => {
    all = found;
    elements.section.hidden = false;
    elements.words.textContent = words;
    draw();
  };

  const draw = (): void => {
    const drawn = all.slice(0, shown);
    rows = new Map(drawn.map((file) => [file.name, rowOf(file)]));
    elements.list.replaceChildren(...[...rows.values()].map(({ element }) => element));
    const more = all.length - drawn.length;
    elements.more.hidden = more === 0;
    elements.more.textContent = `Show ${Math.min(more, PAGE)} more`;
  };

  const rowOf = (file: FileInfo): FileRow => {
    const { name } = file;
    const row = fileRow(file, {
      download: () => {
        void download(file);
      },
      stop: () => {
        coming.get(name)?.end.abort();
      },
      remove: () => {
        toDelete = name;
        elements.deleteTitle.textContent = `Delete ${name}?`;
        elements.question.returnValue = "";
        elements.question.showModal();
      },
    });
    row.show(coming.get(name)?.received);
    return row;
  };

  const download = async ({ name }: FileInfo): Promise<void> => {
    const one: Coming = { end: new AbortController(), received: 0 };
    coming.set(name, one);
    rows.get(name)?.show(0);
    const onprogress = (received: number): void => {
      one.received = received;
      rows.get(name)?.show(received);
    };
    try {
      const fetched = await files.fetch(name, { onprogress, signal: one.end.signal });
      save(fetched.blob, name);
      notify(savedWords(fetched));
    } catch (error) {
      if (one.end.signal.aborted) return;
      notify(`${name} could not be fetched: ${wordsOf(error)}`);
      // It may have gone meanwhile.
      look();
    } finally {
      coming.delete(name);
      rows.get(name)?.show(undefined);
    }
  };

  elements.question.addEventListener("close", () => {
    const name = toDelete;
    toDelete = undefined;
    if (elements.question.returnValue !== "yes" || name === undefined) return;
    const said = files.delete(name).then(
      () => `Deleted ${name}`,
      (error: unknown) => `${name} could not be deleted: ${wordsOf(error)}`,
    );
    void said.then((words) => {
      notify(words);
      look();
    });
  });
  // What is behind it has keys of its own.
  elements.question.addEventListener("keydown", (event) => {
    event.stopPropagation();
  });
  elements.more.addEventListener("click", () => {
    shown += PAGE;
    draw();
  });
  return { look };
}

/** Whether there is nothing to be shown: no folder, an older node, or a session that has just ended. */
function isNoFolder({ slug, name }: ControlError): boolean {
  return slug === "noSuchChannel" || slug === "unsupported" || slug === "notAllowed" || name === "AbortError" || name === "InvalidStateError";
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
