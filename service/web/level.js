// The level of a microphone, and whether it sends nothing but zeros. Counts samples, reads no clock.

const SILENT_AFTER_S = 3;
const FALL_DB_PER_S = 30; // how fast the level falls after a peak
const FLOOR_DB = -60; // the left end of the meter
const FULL_SCALE = 32768;

export class Level {
  db = FLOOR_DB; // of the latest peak, relative to full scale
  silentS = 0; // how long every sample has been 0

  // Takes a block of pcm_s16le.
  push(block, rate) {
    const peak = block.reduce((highest, sample) => Math.max(highest, Math.abs(sample)), 0);
    const seconds = block.length / rate;
    const loudness = peak ? 20 * Math.log10(peak / FULL_SCALE) : FLOOR_DB;
    this.db = Math.max(FLOOR_DB, loudness, this.db - FALL_DB_PER_S * seconds);
    this.silentS = peak ? 0 : this.silentS + seconds;
  }

  get silent() {
    return this.silentS >= SILENT_AFTER_S;
  }
}
