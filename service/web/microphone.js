// The microphone: blocks of pcm_s16le at the device's rate, each with its time of capture. Knows no server.

import { Fault } from "./fault.js";

const MAX_RATE = 48000; // of the server; the browser resamples what a faster device gives
const RAW = { channelCount: 1, echoCancellation: false, noiseSuppression: false, autoGainControl: false };
const MONO = { channelCount: 1, channelCountMode: "explicit", outputChannelCount: [1] };
const REASONS = { NotAllowedError: "refused", NotFoundError: "missing", NotReadableError: "busy" };

// Calls onBlock({block, at}) for each block; onEnd when the device is gone. Throws a Fault.
export async function openMicrophone(onBlock, onEnd) {
  if (!navigator.mediaDevices || !window.AudioWorkletNode) throw new Fault("insecure");
  const context = openContext();
  try {
    await context.audioWorklet.addModule(new URL("worklet.js", import.meta.url)).catch(() => {
      throw new Fault("gone");
    });
    const media = await navigator.mediaDevices.getUserMedia({ audio: RAW });
    const track = media.getAudioTracks()[0];
    track.onended = onEnd;
    const capture = new AudioWorkletNode(context, "capture", MONO);
    capture.port.onmessage = ({ data }) => onBlock(data);
    context.createMediaStreamSource(media).connect(capture).connect(context.destination); // silent; keeps it running
    await context.resume();
    return { rate: context.sampleRate, close: () => (track.stop(), context.close()) };
  } catch (error) {
    context.close();
    if (error instanceof Fault) throw error;
    throw new Fault(REASONS[error.name] ?? `The microphone does not start: ${error.message}`);
  }
}

function openContext() {
  const context = new AudioContext({ latencyHint: "interactive" });
  if (context.sampleRate <= MAX_RATE) return context;
  context.close();
  return new AudioContext({ latencyHint: "interactive", sampleRate: MAX_RATE });
}
