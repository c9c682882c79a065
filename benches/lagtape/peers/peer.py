"""What the peers in Python share: they do what they are told and report their own CPU time."""

import json
import sys
import time


def need(*modules):
    """Imports modules, or says which is missing and ends."""
    try:
        return [__import__(name) for name in modules]
    except ImportError as error:
        print(json.dumps({"missing": error.name}), flush=True)
        sys.exit(0)


def serve(ready, calls):
    """Says `ready`, then answers each line `NAME TIMES` with the seconds that it took."""
    print(json.dumps(ready), flush=True)
    for line in sys.stdin:
        name, times = line.split()
        call = calls[name]
        begun = time.thread_time()
        for _ in range(int(times)):
            call()
        print(time.thread_time() - begun, flush=True)
