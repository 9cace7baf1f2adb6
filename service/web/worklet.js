// Samples of the microphone to pcm_s16le in blocks, in order. Runs on the audio thread; knows neither page nor server.

const BLOCK_S = 0.02;
const SILENCE = new Float32Array(128); // one quantum

class Capture extends AudioWorkletProcessor {
  #block = new Int16Array(Math.round(BLOCK_S * sampleRate));
  #filled = 0;

  // An input whose source is gone has no channel: its silence counts, so that the clock goes on.
  process([[samples = SILENCE]]) {
    for (const sample of samples) {
      this.#block[this.#filled++] = pcm(sample);
      if (this.#filled === this.#block.length) this.#post();
    }
    return true;
  }

  #post() {
    const block = this.#block;
    this.#block = new Int16Array(block.length);
    this.#filled = 0;
    this.port.postMessage({ block, at: Date.now() }, [block.buffer]);
  }
}

// A sample of any size; what is not a number is silence.
function pcm(sample) {
  return Math.round(32767 * Math.max(-1, Math.min(1, sample || 0)));
}

registerProcessor("capture", Capture);
