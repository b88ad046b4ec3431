"""A recorder that ends again and again, and one that cannot be started: what the server reports, and until when."""

from __future__ import annotations

import asyncio
import logging

from support.waiting import GUARD_S

from jupyterd.protocol import recorder_channel, server_channel, spool
from jupyterd.protocol.recorder_channel import NotKept, ReportNotKept
from jupyterd.server.channels import recorder_client
from jupyterd.server.channels.recorder_client import RecorderClient
from jupyterd.server.problems import ProblemReporter


async def until(what):
    async with asyncio.timeout(GUARD_S):
        while not what():  # noqa: ASYNC110 - it is what a test may do
            await asyncio.sleep(0.02)


def test_it_is_told_until_a_recorder_stays(tmp_path, caplog):
    (tmp_path / "in-the-way").touch()
    told = {}

    def say(message):
        told.clear()
        told.update({code: text for code, _, text, _ in message.problems})

    async def story():
        problems = ProblemReporter()
        problems.report_to(say)
        client = RecorderClient(
            logging.getLogger("test"), sockets=tmp_path, directory=tmp_path / "in-the-way" / "spool", records=tmp_path,
            max_bytes=1, as_unit=False, kernels=lambda: 1, problems=problems,
        )  # fmt: skip
        address = tmp_path / spool.SOCKET
        ends = await asyncio.start_unix_server(lambda _reader, writer: writer.close(), address)
        client.start()
        await until(lambda: server_channel.RECORDER_ENDS in told)
        assert "has ended 3 times within" in told[server_channel.RECORDER_ENDS]
        assert server_channel.NOT_RECORDED not in told
        ends.close()
        address.unlink(missing_ok=True)
        await until(lambda: server_channel.NOT_RECORDED in told)
        assert "Not a directory" in told[server_channel.NOT_RECORDED]
        gone = asyncio.Event()

        async def listen(reader, writer):
            await reader.read()  # until the client closes it
            writer.close()
            gone.set()

        stays = await asyncio.start_unix_server(listen, address)
        await until(lambda: server_channel.NOT_RECORDED not in told)
        assert client.connected
        client.hang_up()
        await asyncio.wait_for(gone.wait(), 30)
        await until(lambda: not client.connected)
        stays.close()

    asyncio.run(story())
    assert sum("is not kept" in each.message for each in caplog.records) == 1, (
        "it is said once, and not at each attempt"
    )


def test_one_that_stops_answering_is_told_until_it_answers(tmp_path, monkeypatch):
    """As a recorder that somebody has stopped (SIGSTOP): its connection stays."""
    monkeypatch.setattr(recorder_client, "_ASK_EVERY_S", 0.2)
    told, works, answered = {}, asyncio.Event(), asyncio.Event()

    def say(message):
        told.clear()
        told.update({code: text for code, _, text, _ in message.problems})

    async def recorder(reader, writer):
        while line := await reader.readline():
            if isinstance(recorder_channel.decode(line), ReportNotKept) and works.is_set():
                writer.write(recorder_channel.encode(NotKept(())))
                answered.set()
        writer.close()

    async def story():
        problems = ProblemReporter()
        problems.report_to(say)
        client = RecorderClient(
            logging.getLogger("test"), sockets=tmp_path, directory=tmp_path, records=tmp_path,
            max_bytes=1, as_unit=False, kernels=lambda: 1, problems=problems,
        )  # fmt: skip
        there = await asyncio.start_unix_server(recorder, tmp_path / spool.SOCKET)
        client.start()
        await until(lambda: client.connected)
        await asyncio.sleep(1)
        assert told == {}, "one of an earlier version never answers"
        works.set()
        await until(answered.is_set)
        works.clear()
        await until(lambda: "has not answered" in told.get(server_channel.NOT_RECORDED, ""))
        works.set()
        await until(lambda: told == {})
        client.hang_up()
        await until(lambda: not client.connected)
        there.close()

    asyncio.run(story())
