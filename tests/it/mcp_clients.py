"""A client of the Python SDK, 1.x or 2.x, over stdio or HTTP: uses all that the server offers.

Arguments: the lagtape binary, the folder of captures, and the URL of an HTTP server or nothing.
Prints one JSON object of what it saw; any exception ends it with a traceback.
"""

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from importlib.metadata import version

MAJOR = int(version("mcp").split(".")[0])


def either(thing, *names):
    """The first attribute that there is: 1.x writes camelCase, 2.x snake_case."""
    for name in names:
        if hasattr(thing, name):
            return getattr(thing, name)
    raise AttributeError(names[0])


@asynccontextmanager
async def connected(binary, folder, url):
    from mcp import StdioServerParameters

    stdio = StdioServerParameters(command=binary, args=["mcp", "--captures", folder])
    if MAJOR >= 2:
        from mcp import Client

        async with Client(url or stdio) as client:
            yield client
    elif url:
        from mcp import ClientSession
        from mcp.client.streamable_http import streamablehttp_client

        async with streamablehttp_client(url) as (read, write, _):
            async with ClientSession(read, write) as client:
                await client.initialize()
                yield client
    else:
        from mcp import ClientSession
        from mcp.client.stdio import stdio_client

        async with stdio_client(stdio) as (read, write):
            async with ClientSession(read, write) as client:
                await client.initialize()
                yield client


async def call(client, tool, progress=None, **args):
    """A call that has to succeed; its structured content, or the result itself without one."""
    kwargs = {"progress_callback": progress} if progress else {}
    result = await client.call_tool(tool, args, **kwargs)
    assert not either(result, "isError", "is_error"), (tool, result)
    return either(result, "structuredContent", "structured_content") or result


async def use_everything(client):
    tools = (await client.list_tools()).tools
    seen = {"tools": sorted(tool.name for tool in tools), "used": []}
    done = []

    async def progress(now, total, message):
        done.append(now)

    async def use(tool, progress=None, **args):
        seen["used"].append(tool)
        return await call(client, tool, progress, **args)

    started = await use("headless_start", incident="stall:at=1,for=60")
    handle = started["handle"]
    observed = await use("headless_observe", progress, handle=handle, until="lag_begins", for_s=60)
    assert observed["happened"], observed
    assert done, "progress is told"
    await use("headless_seek", handle=handle, to_s=2)
    await use("headless_set_playback", handle=handle, rate=1.01)
    sent = await use("headless_send", handle=handle, prompt="dub", wait_s=20)
    assert any(event["type"] == "prompt_applied" for event in sent["events"]), sent
    await use("headless_lag_report", handle=handle, window_s=2)
    await use("headless_dump_audio", handle=handle, last_s=1)
    await use("headless_status")

    # A call that is given up leaves the session and the server as they were.
    begun = asyncio.Event()

    async def begins(now, total, message):
        begun.set()

    given_up = asyncio.create_task(
        call(client, "headless_observe", begins, handle=handle, for_s=110)
    )
    await begun.wait()
    given_up.cancel()
    try:
        await given_up
    except asyncio.CancelledError:
        pass
    stopped = await use("headless_stop", handle=handle)
    seen["live"] = stopped["lag"]
    seen["path"] = stopped["path"]

    await use("capture_list")
    fleet = await use("capture_list", by="verdict")
    assert "stall" in [worst["id"] for worst in fleet["sums"]["worst"]], fleet
    seen["opened"] = await use("capture_open", capture="stall")
    await use("capture_lag_report", capture="stall", include_timeline=True)
    await use("capture_diagnose", capture="stall", proof=False)
    await use("capture_report", capture="stall")
    await use("capture_messages", capture="stall", limit=3, format="detailed")
    timeline = await use("capture_timeline", capture="stall")
    assert any(moment["kind"] == "lag" for moment in timeline["moments"]), timeline
    rows = await use("capture_query", capture="stall", table="slices", aggregate=["count"])
    assert rows["rows"] == [[seen["opened"]["lag"]["slices"]["count"]]], rows
    await use("capture_what_if", capture="healthy", set={"rate": 1.01}, open_loop=True)
    await use("capture_sweep", capture="healthy", vary=["rate=0.99,1.01"], open_loop=True)
    await use("capture_compare", **{"capture": "stall", "with": "healthy"})
    await use("capture_dump_audio", capture="stall", last_s=1)
    chart = await use("capture_chart", capture="stall")
    image = chart.content[1]
    assert (image.type, either(image, "mimeType", "mime_type")) == ("image", "image/png")

    failed = await client.call_tool("capture_open", {"capture": "../secret"})
    assert either(failed, "isError", "is_error") and "inside" in failed.content[0].text, failed

    resources = (await client.list_resources()).resources
    seen["resources"] = len(resources)
    report = await client.read_resource("lagtape://captures/stall/report")
    seen["report"] = json.loads(report.contents[0].text)["lag"]
    templates = await client.list_resource_templates()
    assert len(either(templates, "resourceTemplates", "resource_templates")) == 4
    try:
        await client.read_resource("lagtape://captures/none/report")
        raise AssertionError("a resource that is not there")
    except Exception as error:
        assert "none" in str(error), error
    prompts = (await client.list_prompts()).prompts
    assert [prompt.name for prompt in prompts] == ["diagnose_lag"]
    prompt = await client.get_prompt("diagnose_lag", {"capture": "stall"})
    assert "capture_open" in prompt.messages[0].content.text
    return seen


async def main():
    binary, folder, *url = sys.argv[1:]
    async with connected(binary, folder, url[0] if url else None) as client:
        print(json.dumps(await use_everything(client)))


if __name__ == "__main__":
    asyncio.run(main())
