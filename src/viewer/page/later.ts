/** Time, as the page's decisions are told it: a test has its own. */

/** Has something done after so many milliseconds; gives the way to call it off. */
export type Later = (act: () => void, ms: number) => () => void;

/** By the browser's clock. */
export const later: Later = (act, ms) => {
  const timer = setTimeout(act, ms);
  return () => {
    clearTimeout(timer);
  };
};
