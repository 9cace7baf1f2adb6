// Waveform, scores and detections by stream time in seconds. Draws nothing.

const PEAK_S = 0.005;

export class Timeline {
  peaks = []; // {t, s, low, high}: a piece of waveform that ends at t, s long
  scores = []; // {t, scores}: label -> score
  marks = []; // {t, label, score}: detections; with early ones also {id, status: early, confirmed or retracted}
  end = 0;
  #blocks = []; // {t, at}: when the page received the sample at t, in ms since 1970

  // Only the newest `keep` seconds are kept.
  constructor(keep = Infinity) {
    this.keep = keep;
  }

  // Adds a typed array of samples; times `gain` they are at full scale 1. `at`: when the page received the last one.
  push(samples, rate, { gain = 1, at = 0, pieceS = PEAK_S } = {}) {
    const size = Math.max(1, Math.round(pieceS * rate));
    for (let start = 0; start < samples.length; start += size) {
      const piece = samples.subarray(start, start + size);
      const t = this.end + (start + piece.length) / rate;
      this.peaks.push({ t, s: piece.length / rate, low: gain * Math.min(...piece), high: gain * Math.max(...piece) });
    }
    this.end += samples.length / rate;
    this.#blocks.push({ t: this.end, at });
    this.#trim();
  }

  // Returns the mark of an early detection that has become this: "confirmed" or "retracted".
  settle(id, status) {
    return Object.assign(this.marks.find((mark) => mark.id === id), { status });
  }

  // When the page received the sample at t, in ms since 1970.
  capturedAt(t) {
    const block = this.#blocks.find((candidate) => candidate.t >= t) ?? this.#blocks.at(-1);
    return block.at - 1000 * (block.t - t);
  }

  #trim() {
    for (const entries of [this.peaks, this.scores, this.marks, this.#blocks]) {
      const first = entries.findIndex((entry) => entry.t >= this.end - this.keep);
      entries.splice(0, first < 0 ? entries.length : first);
    }
  }
}
