"""An RTSP camera, with a server that says as much as one camera does."""

import re
import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from realtime_matting.sources.camera import open_camera


def h264(seconds: float) -> list[list[bytes]]:
    """The NAL units of each frame of a grey level that rises, at 30 per second; the first frame is the only key."""
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt, codec.framerate = 64, 48, "yuv420p", 30
    codec.time_base = Fraction(1, 30)
    codec.options = {"tune": "zerolatency", "g": "100000"}
    units = []
    for number in range(round(30 * seconds)):
        frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 60 + number % 100, np.uint8), format="rgb24")
        frame.pts = number
        units += [re.split(b"\0\0\0?\1", bytes(packet))[1:] for packet in codec.encode(frame)]
    return units


class RtspServer(socketserver.ThreadingTCPServer):
    """What RFC 2326 asks for one stream over the connection itself: H.264 (RFC 6184), 30 frames per second."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, frames: list[list[bytes]]) -> None:
        self.frames = frames
        self.stopping = threading.Event()
        super().__init__(("127.0.0.1", 0), _RtspHandler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has left is no error."""


class _RtspHandler(socketserver.StreamRequestHandler):
    server: RtspServer

    def handle(self) -> None:
        lines = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=test", "t=0 0", "m=video 0 RTP/AVP 96"]
        lines += ["a=rtpmap:96 H264/90000", "a=fmtp:96 packetization-mode=1", "a=control:track"]
        description = "".join(f"{line}\r\n" for line in lines).encode()
        answers = {
            b"OPTIONS": (b"Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n", b""),
            b"DESCRIBE": (b"Content-Type: application/sdp\r\n", description),
            b"SETUP": (b"Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n", b""),
        }
        while line := self.rfile.readline():
            method = line.split(b" ")[0]
            number = b"0"
            while (header := self.rfile.readline().strip()) != b"":
                name, _, value = header.partition(b": ")
                number = value if name == b"CSeq" else number
            head, body = answers.get(method, (b"", b""))
            self.wfile.write(b"RTSP/1.0 200 OK\r\nCSeq: %b\r\nSession: 1\r\n%b" % (number, head))
            self.wfile.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
            if method == b"PLAY":
                return self.play()

    def play(self) -> None:
        began, sequence = time.monotonic(), 0
        for number, units in enumerate(self.server.frames):
            if self.server.stopping.wait(max(0.0, began + number / 30 - time.monotonic())):
                return
            for unit in units:
                last = 0x80 if unit is units[-1] else 0
                data = struct.pack(">BBHII", 0x80, last | 96, sequence, 3000 * number, 1) + unit
                self.wfile.write(struct.pack(">cBH", b"$", 0, len(data)) + data)
                sequence += 1
        self.server.stopping.wait(10)


@pytest.fixture
def rtsp() -> Iterator[str]:
    """The address of an RTSP camera that gives 4 seconds."""
    made = RtspServer(h264(4))
    thread = threading.Thread(target=made.serve_forever, args=(0.02,))
    thread.start()
    yield f"rtsp://127.0.0.1:{made.server_address[1]}/live"
    made.stopping.set()
    made.shutdown()
    thread.join()
    made.server_close()


def test_an_rtsp_camera_shows_pictures_though_its_key_frames_are_rare(rtsp: str) -> None:
    """What is read to find out about the stream must not be thrown away: nothing could be decoded without it."""
    camera = open_camera(rtsp)
    assert camera.size == (64, 48)
    levels: list[int] = []
    give_up = time.monotonic() + 20
    while len(levels) < 20:
        assert time.monotonic() < give_up
        if (shot := camera.read(0.05)) is not None:
            levels.append(int(shot.rgb[20, 20, 0]))
    assert levels == sorted(levels)
    assert abs(levels[0] - 60) <= 3
    camera.close()
