/** Gives the person a file. */

/** The browser has its own hold on it by then. */
const RELEASE_AFTER_MS = 10_000;

/** Saves it as a download of this name. */
export function save(content: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => {
    URL.revokeObjectURL(link.href);
  }, RELEASE_AFTER_MS);
}
