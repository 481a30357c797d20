/** Whether a key is for what has the focus: text is typed there, or a choice is looked for by its letters. */
export function isTyping({ target }: KeyboardEvent): boolean {
  // A switch or a slider has no use for letters.
  if (target instanceof HTMLInputElement) return !["checkbox", "radio", "range", "button", "submit"].includes(target.type);
  return target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement;
}
