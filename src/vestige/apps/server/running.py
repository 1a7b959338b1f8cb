"""Run the application under uvicorn, and stop it so that nothing that was accepted is lost."""

import asyncio
import logging
import os
import socket
import sys

import uvicorn
from fastapi import FastAPI

from vestige.apps.server.guard import Life
from vestige.apps.server.settings import ServerSettings
from vestige.errors import ConfigError

LOCAL = {"127.0.0.1", "::1", "localhost"}
_GRACE = 5  # seconds beyond the limits of a request, for its answer to be sent
_LOG = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "loggers": {
        "vestige.server": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
        "uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
    },
}


class Server(uvicorn.Server):
    """uvicorn, which first says that it stops, and then stops.

    Args:
        config: of uvicorn.
        life: what routes look at.
        drain_seconds: between the two.
    """

    def __init__(self, config: uvicorn.Config, life: Life, drain_seconds: float) -> None:
        super().__init__(config)
        self._life = life
        self._drain_seconds = drain_seconds

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse new requests, wait, then answer what was accepted and close."""
        self._life.stopping = True
        loop = asyncio.get_running_loop()
        end = loop.time() + self._drain_seconds
        while loop.time() < end and not self.force_exit:
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)


def run(app: FastAPI, settings: ServerSettings, host: str, port: int) -> None:
    """Serve until a signal comes.

    Raises:
        ConfigError: the address cannot be listened on.
    """
    line = listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    print(f"vestige: listening on http://{shown}:{line.getsockname()[1]}", file=sys.stderr, flush=True)
    server(app, settings).run(sockets=[line])


def server(app: FastAPI, settings: ServerSettings) -> Server:
    """A server for an application of `create_app`."""
    config = uvicorn.Config(
        app,
        access_log=False,  # it would log query strings
        log_config=_LOG,
        log_level=logging.WARNING,
        proxy_headers=False,
        server_header=False,
        ws="none",
        lifespan="on",
        timeout_graceful_shutdown=int(settings.body_seconds + settings.request_seconds) + _GRACE,
    )
    return Server(config, app.state.life, settings.drain_seconds)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0: any that is free.

    Raises:
        ConfigError: it cannot be had.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server((str(address[0]), port), family=family, backlog=512)
    except (OSError, OverflowError, UnicodeError) as error:
        number = getattr(error, "errno", None) or 0
        # What `create_server` makes of it repeats the address; those of resolvers are negative.
        reason = os.strerror(number) if number > 0 else getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"cannot listen on {host}:{port} ({reason}): choose another --host or --port"
        ) from error
