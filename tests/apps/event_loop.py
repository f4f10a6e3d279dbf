"""Each request runs an event loop that handles signals; `/N` then takes N milliseconds.

The loop takes Python's notice of signals for itself, and gives it back to nobody.
"""

import asyncio
import signal
import threading
import time


async def nothing():
    loop = asyncio.get_running_loop()
    # Python allows it on the main thread only.
    takes_signals = threading.current_thread() is threading.main_thread()
    if takes_signals:
        loop.add_signal_handler(signal.SIGURG, lambda: None)
    await asyncio.sleep(0)
    if takes_signals:
        loop.remove_signal_handler(signal.SIGURG)


def app(environ, start_response):
    asyncio.run(nothing())
    milliseconds = environ["PATH_INFO"].strip("/")
    if milliseconds.isdigit():
        time.sleep(int(milliseconds) / 1000)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"slept"]
