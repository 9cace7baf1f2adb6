// One session at the microphone, from its start to its end: audio to the server, and its events on a timeline.

import { UserError } from "./errors.js";
import { Level } from "./level.js";
import { openMicrophone } from "./microphone.js";
import { ReconnectingStream } from "./reconnecting.js";
import { Timeline } from "./timeline.js";

const SCORES_EVERY_MS = 20;
const KEEP_S = 20; // of the timeline
const FULL_SCALE = 32768;

export class LiveSession {
  timeline = new Timeline(KEEP_S);
  whole = false; // the chart shows the newest part
  level = new Level();
  over = false;
  config; // as the server understood it
  #microphone;
  #rate;
  #stream;
  #summary;
  #unanswered = 0; // updates whose `ready` has not come
  #changes; // made before the stream was ready
  #failed = false;
  #on;

  // `on` has ready(config), silent(yes or no), change(), early(message), detection(message), of what is final,
  // retracted(message), interrupted(error, seconds to the next try), reconnected(report), end(summary or undefined,
  // error or undefined). Detections have screen_ms, from capture to this page, and confirmed ones lead_ms: how much
  // audio before them the early one was.
  constructor(on) {
    this.#on = on;
  }

  // Throws a UserError when the microphone does not start.
  async begin(settings, { key, deviceId }) {
    const unplugged = () => this.#end(new UserError("unplugged"));
    this.#microphone = await openMicrophone(deviceId, (block) => this.#push(block), unplugged);
    if (this.over) return this.#microphone.close();
    this.#rate = this.#microphone.rate;
    const config = { ...settings, sample_rate: this.#rate, scores_every_ms: SCORES_EVERY_MS };
    this.#stream = new ReconnectingStream(config, key, {
      ready: (message) => this.#ready(message),
      scores: (message) => this.#scores(message),
      detection: (message) => this.#detection(message),
      confirmed: (message) => this.#confirmed(message),
      retracted: (message) => this.#retracted(message),
      summary: (message) => (this.#summary = message),
      interrupted: this.#on.interrupted,
      reconnected: this.#on.reconnected,
      end: (reason) => this.#end(reason),
    });
  }

  update(changes) {
    if (this.#stream?.update(changes)) this.#unanswered++;
    else this.#changes = changes;
  }

  // The detections in what was sent so far still come.
  stop() {
    this.over = true;
    this.#microphone?.close();
    this.#stream?.close();
  }

  // Only the answer to the newest update counts.
  #ready({ config }) {
    this.config = config;
    if (this.#unanswered) this.#unanswered--;
    if (this.#changes) this.update(this.#changes);
    this.#changes = undefined;
    if (!this.#unanswered) this.#on.ready(config);
  }

  #push({ block, at }) {
    if (this.over || !this.#rate) return;
    this.#measure(block);
    if (!this.#stream?.ready) return;
    if (!this.#stream.send(block)) return this.#end(new UserError("slow"));
    this.timeline.push(block, this.#rate, { gain: 1 / FULL_SCALE, at });
    this.#on.change();
  }

  #measure(block) {
    const before = this.level.silent;
    this.level.push(block, this.#rate);
    if (this.level.silent !== before) this.#on.silent(this.level.silent);
  }

  #scores({ audio_time_s: t, scores }) {
    this.timeline.scores.push({ t, scores });
    this.#on.change();
  }

  #detection(message) {
    const { id, audio_time_s: t, label, score, status } = message;
    this.timeline.marks.push({ id, t, label, score, status });
    const shown = this.#shown(message);
    if (status === "early") this.#on.early(shown);
    else this.#on.detection(shown);
  }

  #confirmed(message) {
    const { t } = this.timeline.settle(message.id, "confirmed");
    this.#on.detection({ ...this.#shown(message), lead_ms: 1000 * (message.audio_time_s - t) });
  }

  #retracted(message) {
    this.timeline.settle(message.id, "retracted");
    this.#on.retracted(message);
    this.#on.change();
  }

  #shown(message) {
    return { ...message, screen_ms: Date.now() - this.timeline.capturedAt(message.audio_time_s) };
  }

  // An error after a stop does not matter, and neither does what follows an error.
  #end(error) {
    if (this.#failed) return;
    const reason = this.over ? undefined : error;
    this.#failed = Boolean(reason);
    if (!this.over) this.stop();
    this.#on.end(this.#summary, reason);
  }
}
