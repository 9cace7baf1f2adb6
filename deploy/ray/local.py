"""The app on a Ray of its own on this machine, to try it: `python -m deploy.ray.local --port 8000` until Ctrl-C.

With RAY_SERVE_ENABLE_HA_PROXY=1 in the environment HAProxy stands in front of the replicas.
"""

import argparse
import signal
from pathlib import Path

import ray
from ray import serve

from deploy.ray.app import Arguments, build
from service.commands.ray_cluster import LOCAL_STORE_BYTES
from service.testing import HOST

CPUS = 8  # that Ray may hand out: its own processes ask for some, whatever the machine has


def main() -> None:
    parser = argparse.ArgumentParser(prog="deploy.ray.local", description="Serve on a Ray of its own.")
    parser.add_argument("--port", type=int, default=8000, help="(default: %(default)s)")
    parser.add_argument("--replicas", type=int, default=1, help="(default: %(default)s)")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    checkout = {"env_vars": {"PYTHONPATH": str(Path(__file__).parents[2])}}
    ray.init(
        "local", include_dashboard=False, object_store_memory=LOCAL_STORE_BYTES, num_cpus=CPUS, runtime_env=checkout
    )
    try:
        serve.start(http_options={"host": HOST, "port": args.port})
        serve.run(build(Arguments(min_replicas=args.replicas, max_replicas=args.replicas)), blocking=True)
    finally:
        serve.shutdown()
        ray.shutdown()


if __name__ == "__main__":
    main()
