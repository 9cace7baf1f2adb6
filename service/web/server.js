// The server: its models, its answer to a file, a stream. Addresses are relative to the page. Knows no audio device.

import { UserError } from "./errors.js";

const [NORMAL, RESTARTING, OVERLOADED] = [1000, 1012, 1013];

export async function fetchModels(key) {
  return (await request("v1/models", key)).models;
}

// The result of one file, with the scores of every frame.
export async function classify(file, settings, key) {
  const body = new FormData();
  body.append("files", file);
  const { results } = await request(`v1/classify?${new URLSearchParams({ ...settings, trace: true })}`, key, body);
  if (results[0].error) throw new UserError(`${file.name}: ${results[0].error.message}`);
  return results[0];
}

async function request(path, key, body) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  const response = await fetch(path, { method: body ? "POST" : "GET", headers, body }).catch(() => {
    throw new UserError("unreachable");
  });
  if (response.ok) return response.json();
  if (response.status === 401) throw new UserError("key");
  const answer = await response.json().catch(() => ({}));
  throw new UserError(answer.error?.message ?? `The server answered ${response.status}.`);
}

// One stream: PCM up, events down. `on` has a handler for each type of message, and `end(error or undefined)`.
export class Stream {
  #socket;
  #limit = Infinity; // bytes that may wait to be sent
  #resending = false; // more than that may wait
  #chunk = 0; // samples per message that the server recommends
  #blocks = []; // of the next message
  #samples = 0; // in them
  #error; // the message of the server's fatal error

  constructor(settings, key, on) {
    const url = new URL(`v1/stream?${new URLSearchParams(settings)}`, document.baseURI);
    url.protocol = url.protocol.replace("http", "ws");
    this.#socket = new WebSocket(url, key ? [`bearer.${key}`] : []);
    this.#socket.onmessage = ({ data }) => this.#receive(JSON.parse(data), on);
    this.#socket.onclose = async ({ code }) => on.end(await this.#reason(code, key));
  }

  get ready() {
    return this.#limit < Infinity && this.#socket.readyState === WebSocket.OPEN;
  }

  // Gathers blocks into messages. Returns false when the network does not keep up.
  send(block) {
    this.#blocks.push(block);
    this.#samples += block.length;
    if (this.#samples + block.length / 2 >= this.#chunk) this.#sendBlocks();
    const inTime = this.#socket.bufferedAmount <= this.#limit;
    this.#resending &&= !inTime;
    return inTime || this.#resending;
  }

  // Sends many blocks at once: those of a stream before this one.
  resend(blocks) {
    this.#resending = true;
    for (const block of blocks) this.#socket.send(block);
  }

  // Returns whether it was sent; only a stream that is ready takes changes.
  update(changes) {
    return this.#sendControl({ type: "update", ...changes });
  }

  // The server decides on the audio it has, sends its summary and closes.
  close() {
    if (!this.#sendControl({ type: "close" })) this.#socket.close();
  }

  #sendControl(message) {
    if (this.ready) {
      this.#sendBlocks();
      this.#socket.send(JSON.stringify(message));
    }
    return this.ready;
  }

  #sendBlocks() {
    if (!this.#samples) return;
    const message = new Int16Array(this.#samples);
    let start = 0;
    for (const block of this.#blocks) {
      message.set(block, start);
      start += block.length;
    }
    this.#blocks = [];
    this.#samples = 0;
    this.#socket.send(message);
  }

  #receive(message, on) {
    if (message.type === "ready") {
      this.#limit = 2 * message.config.sample_rate * message.limits.max_backlog_s;
      this.#chunk = (message.config.sample_rate * message.chunk_ms) / 1000;
    }
    if (message.type === "error" && message.fatal) this.#error = message.message;
    on[message.type]?.(message);
  }

  // Browsers hide why a handshake failed, so ask.
  async #reason(code, key) {
    if (code === NORMAL) return undefined;
    if (code === OVERLOADED) return new UserError("overloaded");
    if (this.#error) return new UserError(`The server ended the stream: ${this.#error}.`);
    if (code === RESTARTING) return new UserError("restarting");
    if (this.#limit < Infinity) return new UserError("lost");
    const failure = await fetchModels(key).then(() => undefined, (error) => error);
    if (failure) return failure;
    return new UserError((await fetch("readyz")).ok ? "full" : "restarting");
  }
}
