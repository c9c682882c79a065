"""One story over stdio: from a session with an incident to what would have prevented it.

Arguments: the lagtape binary, the folder of captures, the incident. Prints what each step answered.
"""

import asyncio
import json
import sys

from mcp_clients import call, connected, either


async def main():
    binary, folder, incident = sys.argv[1:]
    told = {}
    async with connected(binary, folder, None) as client:
        started = await call(client, "headless_start", incident=incident)
        handle = started["handle"]
        seen = await call(
            client, "headless_observe", handle=handle, until="lag_begins", for_s=110
        )
        assert seen["happened"], seen
        # A little longer, so that the capture has what comes after.
        await call(client, "headless_observe", handle=handle, until="lag_ends", for_s=60)
        await call(client, "headless_observe", handle=handle, for_s=2)
        told["stopped"] = await call(client, "headless_stop", handle=handle)
        capture = told["stopped"]["capture"]
        told["opened"] = await call(client, "capture_open", capture=capture)
        first = told["opened"]["verdict"]["episodes"][0]
        told["messages"] = await call(
            client,
            "capture_messages",
            capture=capture,
            from_s=first["from_s"] - 2,
            to_s=first["to_s"],
            not_types=["params", "params_update", "slice"],
        )
        told["found"] = await call(
            client, "capture_sweep", capture=capture, vary=["lead-floor"], find="stale_ticks == 0"
        )
        # Whatever was found: the change that is looked at is the same for both doors.
        change = {"lead-floor": told["found"]["found"].get("value", 1.5)}
        told["change"] = change
        told["what_if"] = await call(client, "capture_what_if", capture=capture, set=change)
        told["compared"] = await call(client, "capture_compare", **{"capture": capture, "with": capture})
        told["heard"] = await call(client, "capture_dump_audio", capture=capture)
        told["would"] = await call(client, "capture_dump_audio", capture=capture, set=change)
        chart = await call(client, "capture_chart", capture=capture)
        assert either(chart.content[1], "mimeType", "mime_type") == "image/png"
    print(json.dumps(told))


asyncio.run(main())
