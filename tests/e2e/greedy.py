"""A build action that wants too much: asks for the tokens of many repositories. Prints the statuses and the last refusal.

Usage: ``greedy.py SOCKET AUTHORITY FIRST COUNT AT_ONCE [leave]``; with ``leave`` it never waits for an answer.
"""

import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor


def ask(path: str, authority: str, number: int, *, leave: bool) -> tuple[int, str]:
    """Ask for one repository; status 0 if it did not wait."""
    body = json.dumps({"uri": f"http://{authority}/v2/org/r{number}/blobs/sha256:{'a' * 64}"}).encode()
    with socket.socket(socket.AF_UNIX) as talk:
        talk.connect(path)
        head = f"POST /v1/get HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        talk.sendall(head.encode() + body)
        if leave:
            return 0, ""
        answer = b""
        while part := talk.recv(65536):
            answer += part
    return int(answer.split()[1]), answer.decode().partition("\r\n\r\n")[2]


def main() -> None:
    """Ask, with the given number of requests at once."""
    path, authority, first, count, at_once, *leave = sys.argv[1:]
    numbers = range(int(first), int(first) + int(count))
    with ThreadPoolExecutor(int(at_once)) as pool:
        answers = list(pool.map(lambda number: ask(path, authority, number, leave=bool(leave)), numbers))
    refusals = [body for status, body in answers if status not in {0, 200}]
    json.dump({"statuses": [status for status, _ in answers], "refusal": refusals[-1] if refusals else ""}, sys.stdout)


if __name__ == "__main__":
    main()
