// Finding tones in a spectrum, as AnalyserNode.getFloatFrequencyData gives it (dB a bin).

/** How many dB the bin of `hertz` (or one beside it) stands above the median of the spectrum's audible part. */
export function prominenceDb(spectrum, binHertz, hertz) {
  const bin = Math.round(hertz / binHertz);
  const peak = Math.max(spectrum[bin - 1], spectrum[bin], spectrum[bin + 1]);
  const audible = spectrum.slice(Math.ceil(100 / binHertz), Math.floor(8000 / binHertz)).sort((a, b) => a - b);
  return peak - audible[audible.length >> 1];
}

/** Frequency of the loudest bin between `from` and `to` Hz. */
export function loudestHertz(spectrum, binHertz, from = 100, to = 8000) {
  let best = Math.ceil(from / binHertz);
  for (let bin = best; bin < to / binHertz; bin += 1) if (spectrum[bin] > spectrum[best]) best = bin;
  return best * binHertz;
}

/** The middle one. */
export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

/**
 * For each flash the time to the beep next to it (positive: the beep is late). Flashes without a beep within half a
 * second do not count.
 */
export function lipSyncMs(flashes, beeps) {
  return flashes
    .map((flash) => beeps.map((beep) => beep - flash).reduce((a, b) => (Math.abs(a) < Math.abs(b) ? a : b), Infinity))
    .filter((offset) => Math.abs(offset) < 500);
}

/** Times of the rises through the middle between the quietest and the loudest of `samples` ([time, level]). */
export function onsets(samples, atLeast) {
  const levels = samples.map(([, level]) => level);
  const low = Math.min(...levels);
  const high = Math.max(...levels);
  if (!(high - low >= atLeast)) return [];
  const threshold = (low + high) / 2;
  const rises = [];
  for (let i = 1; i < samples.length; i += 1) {
    if (samples[i - 1][1] < threshold && samples[i][1] >= threshold) rises.push(samples[i][0]);
  }
  return rises;
}
