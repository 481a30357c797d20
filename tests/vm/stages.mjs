// Stages of one story, as tests of their own.

/** A clock that says, as a diagnostic of `t`, how long each thing took since the one before. */
export function laps(t) {
  let since = Date.now();
  return (what) => {
    t.diagnostic(`${((Date.now() - since) / 1000).toFixed(1)} s: ${what}`);
    since = Date.now();
  };
}

/** After a stage that fails the others are not tried, as they would wait in vain. */
export function stagesOf(t, lap) {
  let failed;
  return (title, act) =>
    t.test(title, async (stage) => {
      if (failed) return stage.skip(`after "${failed}"`);
      try {
        await act(stage);
      } catch (error) {
        failed = title;
        throw error;
      }
      lap(title);
    });
}
