// One listening, from its start to its end: microphone to server, and what comes back, on a tape.

import { Fault } from "./fault.js";
import { openMicrophone } from "./microphone.js";
import { Stream } from "./server.js";
import { Tape } from "./tape.js";

const SCORES_EVERY_MS = 20;
const KEEP_S = 20; // of the tape
const FULL_SCALE = 32768;

// `on` has: ready(message), change(), detection(message with since_ms), end(summary or nothing, fault or nothing).
export class Listening {
  tape = new Tape(KEEP_S);
  config = null; // what the server understood
  #microphone;
  #stream;
  #summary;
  #on;
  #over = false;

  constructor(on) {
    this.#on = on;
  }

  // Throws a Fault when there is no microphone.
  async begin(settings, key) {
    const unplugged = () => this.#end(new Fault("unplugged"));
    this.#microphone = await openMicrophone((block) => this.#hear(block), unplugged);
    if (this.#over) return this.#microphone.close();
    const all = { ...settings, sample_rate: this.#microphone.rate, scores_every_ms: SCORES_EVERY_MS };
    this.#stream = new Stream(all, key, {
      ready: (message) => this.#ready(message),
      scores: (message) => this.#scores(message),
      detection: (message) => this.#detection(message),
      summary: (message) => (this.#summary = message),
      end: (reason) => this.#end(reason),
    });
  }

  update(changes) {
    this.#stream?.update(changes);
  }

  // The answers to what was said before still come.
  stop() {
    this.#over = true;
    this.#microphone?.close();
    this.#stream?.close();
  }

  #ready(message) {
    this.config = message.config;
    this.#on.ready(message);
  }

  #hear({ block, at }) {
    if (this.#over || !this.#stream?.ready) return;
    if (!this.#stream.send(block)) return this.#end(new Fault("slow"));
    this.tape.hear(block, this.config.sample_rate, { gain: 1 / FULL_SCALE, at });
    this.#on.change();
  }

  #scores({ audio_time_s: t, scores }) {
    this.tape.scores.push({ t, scores });
    this.#on.change();
  }

  #detection(message) {
    const { audio_time_s: t, label, score } = message;
    this.tape.marks.push({ t, label, score });
    this.#on.detection({ ...message, since_ms: Date.now() - this.tape.capturedAt(t) });
  }

  // What goes wrong once it is over does not matter.
  #end(reason) {
    const told = this.#over ? undefined : reason;
    if (!this.#over) this.stop();
    this.#on.end(this.#summary, told);
  }
}
