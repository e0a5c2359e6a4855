"""An S3 server that takes everything and keeps nothing, so that what is measured before it is the client. Prints its port, and serves."""

import asyncio

_ANSWERS = {  # of a POST, by whether its URL asks for a new multipart upload
    True: b"<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>u</UploadId></InitiateMultipartUploadResult>",
    False: b"<CompleteMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><ETag>&quot;e-1&quot;</ETag></CompleteMultipartUploadResult>",
}


class NullS3(asyncio.BufferedProtocol):
    """One connection. Bodies are counted, not looked at."""

    _space = bytearray(256 * 1024)  # where all connections are read to

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._head, self._left = transport, b"", 0

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._space

    def buffer_updated(self, nbytes: int) -> None:
        if 0 < nbytes <= self._left:  # all of it body: nothing is copied
            self._body(nbytes)
            return
        data = bytes(memoryview(self._space)[:nbytes])
        while data:
            data = self._fed(data)

    def _fed(self, data: bytes) -> bytes:
        """Takes what belongs to this request, and gives back the rest."""
        if self._left:
            rest = data[self._left :]
            self._body(min(self._left, len(data)))
            return rest
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end:
            return b""
        self._begin(head)
        return rest

    def _begin(self, head: bytes) -> None:
        self._head, lower = b"", head.lower()
        method, url, _ = head.split(b" ", 2)
        answer = _ANSWERS[b"uploads" in url] if method == b"POST" else b""
        self._answer = b'HTTP/1.1 200 OK\r\nETag: "0"\r\nContent-Length: %d\r\n\r\n%s' % (len(answer), answer)
        _, found, value = lower.partition(b"\r\ncontent-length:")
        self._left = int(value.partition(b"\r\n")[0]) if found else 0
        if b"\r\nexpect: 100-continue" in lower:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not self._left:
            self._transport.write(self._answer)

    def _body(self, size: int) -> None:
        self._left -= size
        if not self._left:
            self._transport.write(self._answer)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(NullS3, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
