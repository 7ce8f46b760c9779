// The microphone, or a plain explanation of why there is none.

export class MicrophoneError extends Error {
  constructor(kind, title, message) {
    super(message);
    this.kind = kind;
    this.title = title;
  }
}

const EXPLANATIONS = {
  NotAllowedError: [
    "denied",
    "The microphone is blocked",
    "Allow it for this page: click the icon to the left of the address, choose “Microphone: Allow”, then try again. You can also type.",
  ],
  NotFoundError: [
    "missing",
    "No microphone was found",
    "Plug one in, or choose one in the system’s sound settings, then try again. You can also type.",
  ],
  NotReadableError: [
    "in-use",
    "The microphone cannot be used",
    "Another program may be holding it. Close that program, then try again. You can also type.",
  ],
};

/** The default microphone as a MediaStream. Throws MicrophoneError. */
export async function openMicrophone() {
  if (!window.isSecureContext || !navigator.mediaDevices) {
    throw new MicrophoneError(
      "insecure",
      "The browser gives no microphone to this address",
      `Microphones work only over https:// or on the machine itself. Open http://localhost:${location.port || 80}/ there, ` +
        "or serve this page over https. You can also type.",
    );
  }
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 },
    });
  } catch (error) {
    const [kind, title, message] = EXPLANATIONS[error.name] ?? [
      "failed",
      "The microphone cannot be used",
      `The browser says: ${error.message || error.name}. You can also type.`,
    ];
    throw new MicrophoneError(kind, title, message);
  }
}
