"""The local model's own process: `python -m cli.embedded.model_server`.

Serves one model in OpenAI's form on 127.0.0.1 until it is told to stop. Everything it needs comes by environment
variables, so that its key is on no command line: TOLLBRIDGE_MODEL_PORT, TOLLBRIDGE_MODEL_API_KEY,
TOLLBRIDGE_MODEL_NAME and TOLLBRIDGE_MODEL_FILE.
"""

import os
import signal
import sys
from typing import Final

import xllamacpp  # type: ignore[import-untyped]

# Calls served at a time, and the tokens (prompt and answer) that each has room for. The library divides n_ctx.
SLOTS: Final = 4
SLOT_TOKENS: Final = 2048
MOST_THREADS: Final = 8


def parameters(port: int, api_key: str, name: str, file: str) -> xllamacpp.CommonParams:
    """The server's settings: the conversation template is the one in the model's file."""
    params = xllamacpp.CommonParams()
    params.model.path = file
    params.model_alias = {name}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    # The launcher holds the port with a socket that does not listen, so that a restart finds it free.
    params.reuse_port = True
    params.api_keys = [api_key]
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * SLOT_TOKENS
    params.fit_params = False
    params.cont_batching = True
    params.cpuparams.n_threads = min(MOST_THREADS, len(os.sched_getaffinity(0)))
    params.use_jinja = True
    params.offline = True
    # Only the calls that the bridge makes: no page, no metrics, no view of other callers' slots, no copies of prompts.
    params.ui = False
    params.endpoint_slots = False
    params.endpoint_metrics = False
    params.endpoint_props = False
    params.cache_ram_mib = 0
    params.verbosity = 1
    return params


def main() -> None:
    """Loads the model, serves, and ends with status 0 on SIGTERM or SIGINT."""
    stop_signals = {signal.SIGTERM, signal.SIGINT}
    # Blocked before the library starts its threads, which inherit it: only sigwait below takes them.
    signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals)
    variable = os.environ
    server = xllamacpp.Server(
        parameters(
            int(variable["TOLLBRIDGE_MODEL_PORT"]),
            variable["TOLLBRIDGE_MODEL_API_KEY"],
            variable["TOLLBRIDGE_MODEL_NAME"],
            variable["TOLLBRIDGE_MODEL_FILE"],
        )
    )
    sys.stdout.write(f"{variable['TOLLBRIDGE_MODEL_NAME']} serves at {server.listening_address}\n")
    sys.stdout.flush()
    signal.sigwait(stop_signals)
    # A call that is being answered would hold the library's own shutdown; there is nothing to save.
    os._exit(0)


if __name__ == "__main__":
    main()
