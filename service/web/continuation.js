// A microphone over several streams, one after another: its times, and what the next stream is sent again. As
// clients/continuation.py does; knows no socket and no clock.

const CONTEXT_S = 2; // of audio that is decided on is sent again: a stream begins without memory, a word takes time
const MARGIN_S = 0.3; // of it: a word that the old stream was about to detect is detected sooner or later by the new one
const FINAL = new Set(["detection", "confirmed"]);

export class Continuation {
  #rate;
  #blocks = []; // typed arrays of samples, the newest last
  #start = 0; // of the first block; like the next three in samples since the first one
  #end = 0;
  #decided = 0;
  #settled = 0; // what earlier streams have decided on
  #originS = 0; // of the present stream
  #frameS;
  #refractoryS;
  #detections = 0;
  #latest; // {label, t}: the latest final detection
  #lastId = 0;
  #firstId = 0; // ids of the present stream come after it
  #hidden = new Map(); // id -> early detection of audio that an earlier stream has decided on
  #shown = new Map(); // id -> early detection that was reported and is open

  constructor(rate) {
    this.#rate = rate;
  }

  get undecidedS() {
    return (this.#end - this.#decided) / this.#rate;
  }

  push(block) {
    this.#blocks.push(block);
    this.#end += block.length;
    this.#forget();
  }

  // Gives up what is older than `longestS` and not decided on; returns how much, in seconds.
  drop(longestS) {
    const seconds = Math.max(0, this.undecidedS - longestS);
    if (seconds) this.#advance(this.#decided / this.#rate + seconds);
    return seconds;
  }

  // A stream begins with this `ready`. Returns the blocks to send first.
  begin({ model, config }) {
    this.#frameS = model.frame_ms / 1000;
    this.#refractoryS = config.refractory_s;
    this.#settled = this.#decided;
    this.#firstId = this.#lastId;
    this.#hidden.clear();
    this.#shown.clear();
    this.#originS = this.#start / this.#rate;
    return [...this.#blocks];
  }

  // The stream broke off: returns what retracts the early detections that it has not settled.
  interrupt() {
    const open = [...this.#shown.values()];
    this.#shown.clear();
    return open.map(({ id, label, score, frame, audio_time_s }) => {
      return { type: "retracted", reason: "lost", id, label, score, frame, audio_time_s };
    });
  }

  // Returns the messages to report for one of the server, in the time of the microphone.
  receive(message) {
    if (message.type === "summary") return [this.#summarise(message)];
    if (message.audio_time_s === undefined) return [message];
    const moved = this.#translate(message);
    const messages = this.#unreported(moved);
    if (moved.status !== "early") this.#advance(moved.audio_time_s);
    return messages;
  }

  #summarise(message) {
    this.#advance(this.#originS + message.frames * this.#frameS);
    return { ...message, audio_s: this.#originS + message.audio_s, detections: this.#detections };
  }

  #unreported(message) {
    const { type, id, status } = message;
    if (type === "scores") return message.audio_time_s > this.#settled / this.#rate ? [message] : [];
    if (status === "early" && !this.#isNew(message)) {
      this.#hidden.set(id, message);
      return [];
    }
    if (status === "early") this.#shown.set(id, message);
    if (type === "retracted") return this.#shown.delete(id) ? [message] : [];
    return FINAL.has(type) && status !== "early" ? this.#final(message) : [message];
  }

  #final(message) {
    const { id, label, audio_time_s: t } = message;
    if (!this.#shown.delete(id) && !this.#isNew(message)) return [];
    this.#latest = { label, t };
    this.#detections++;
    const early = this.#hidden.get(id);
    return early ? [early, message] : [message];
  }

  // Whether this is another detection than those reported by earlier streams.
  #isNew({ label, audio_time_s: t }) {
    const repeats = this.#latest?.label === label && t - this.#latest.t < this.#refractoryS;
    return t > this.#settled / this.#rate - MARGIN_S && !repeats;
  }

  #translate(message) {
    const moved = { ...message, audio_time_s: this.#originS + message.audio_time_s };
    moved.frame += Math.round(this.#originS / this.#frameS);
    if (message.id === undefined) return moved;
    moved.id += this.#firstId;
    this.#lastId = Math.max(this.#lastId, moved.id);
    return moved;
  }

  #advance(seconds) {
    this.#decided = Math.min(this.#end, Math.max(this.#decided, Math.floor(seconds * this.#rate)));
    this.#forget();
  }

  // Drops the blocks that no stream will be sent again.
  #forget() {
    const keep = this.#decided - CONTEXT_S * this.#rate;
    while (this.#blocks.length && this.#start + this.#blocks[0].length <= keep) {
      this.#start += this.#blocks.shift().length;
    }
  }
}
