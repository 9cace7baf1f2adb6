// A recording on a tape: its waveform, the server's scores, and where the answer fell.

import { classify } from "./server.js";
import { Tape } from "./tape.js";

const RATE = 16000; // to look at, not to listen to
const PIECES = 1200; // of the waveform, from end to end

export class Recording {
  tape = new Tape();

  constructor(file) {
    this.file = file;
  }

  // A browser that cannot read the file shows no waveform; the server may read it all the same.
  async read() {
    const data = await this.file.arrayBuffer();
    const audio = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(data).catch(() => null);
    if (audio) this.tape.hear(audio.getChannelData(0), audio.sampleRate, { pieceS: audio.duration / PIECES });
  }

  // Returns the server's answer. Throws a Fault when there is none.
  async decide(model, settings, key) {
    const result = await classify(this.file, { model: model.name, ...settings }, key);
    const { trace, frame, label, score, decision_time_s: t } = result;
    const scores = trace[label].map((_, n) => Object.fromEntries(model.labels.map((name) => [name, trace[name][n]])));
    this.tape.scores = scores.map((scores, n) => ({ t: ((n + 1) * model.frame_ms) / 1000, scores }));
    this.tape.marks = [{ t, label, score, scores: scores[frame] }];
    return result;
  }
}
