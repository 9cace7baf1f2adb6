// A recording on a timeline: its waveform, the server's scores, and its words or its one answer.

import { classify } from "./server.js";
import { Timeline } from "./timeline.js";

const RATE = 16000; // of the waveform as drawn; the server reads the file itself
const PIECES = 1200; // of the waveform, from end to end

export class Recording {
  timeline = new Timeline();
  whole = true; // the chart shows all of it
  decision; // {t, scores} of the one answer, in mode "utterance"

  constructor(file) {
    this.file = file;
  }

  // A browser that cannot read the file shows no waveform; the server may still read it.
  async read() {
    const data = await this.file.arrayBuffer();
    const audio = await new OfflineAudioContext(1, 1, RATE).decodeAudioData(data).catch(() => null);
    if (audio) this.timeline.push(audio.getChannelData(0), audio.sampleRate, { pieceS: audio.duration / PIECES });
  }

  // Returns {result, show()}; `show` puts the result on the timeline. Throws a UserError when there is no result.
  async decide(model, settings, key) {
    const result = await classify(this.file, settings, key);
    return { result, show: () => this.#show(result, model) };
  }

  clear() {
    this.timeline.scores = [];
    this.timeline.marks = [];
    this.decision = undefined;
  }

  #show({ trace, detections, label, score, frame, decision_time_s: t }, { labels, frame_ms }) {
    const time = (index) => ((index + 1) * frame_ms) / 1000;
    const at = (index) => Object.fromEntries(labels.map((name) => [name, trace[name][index]]));
    this.timeline.scores = trace[labels[0]].map((_, index) => ({ t: time(index), scores: at(index) }));
    this.decision = detections ? undefined : { t, scores: at(frame) };
    const words = detections?.map(({ audio_time_s, ...word }) => ({ ...word, t: audio_time_s }));
    this.timeline.marks = words ?? [{ t, label, score }];
  }
}
