// What can go wrong, in words for the person at the page.

const WORDS = {
  insecure: "Browsers give the microphone to secure pages only. Open this page on localhost or over https.",
  refused: "The microphone is blocked. Allow it for this page in the browser, then listen again.",
  missing: "No microphone found. Connect one and listen again, or choose a recording.",
  busy: "The microphone does not start. Another program may hold it.",
  unplugged: "The microphone is gone. Connect it and listen again.",
  gone: "The server does not answer. Try again when it runs.",
  lost: "The connection to the server broke. Listen again.",
  full: "The server takes no more streams just now. Try again in a moment.",
  restarting: "The server is starting or stopping. Try again in a moment.",
  slow: "The connection is too slow for live audio.",
  key: "This server wants a key. Enter it, then listen.",
};

// `kind` is a key of WORDS, or the words themselves.
export class Fault extends Error {
  constructor(kind) {
    super(WORDS[kind] ?? kind);
    this.kind = kind;
  }
}
