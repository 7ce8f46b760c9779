"""The Python voice client: a microphone, an ear and the events of one call, over WebRTC."""

from goassist_client.client import Spoken, VoiceClient
from goassist_client.errors import (
    CallError,
    ConnectionLostError,
    NoAnswerError,
    RefusedError,
    ServerBusyError,
    ServerUnreachableError,
    SoundError,
)
from goassist_client.events import ServerEvent
from goassist_client.recording import Recording

__all__ = [
    "CallError",
    "ConnectionLostError",
    "NoAnswerError",
    "Recording",
    "RefusedError",
    "ServerBusyError",
    "ServerEvent",
    "ServerUnreachableError",
    "SoundError",
    "Spoken",
    "VoiceClient",
]
