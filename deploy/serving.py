"""A model and its service, as the flags of ``deploy.serve`` say."""

from argparse import Namespace

from deploy.app import Service
from deploy.batcher import Batching
from deploy.hosts import AllowedHosts
from deploy.model_loading import open_folder
from deploy.schemas import Limits
from deploy.server import Server, bind, connections_allowed
from encoders.runtime import threads_to_use


def serve(flags: Namespace, token: str | None) -> None:
    """Serve until a signal ends it. token: what requests need; None: nothing."""
    connections = connections_allowed(flags.max_connections)
    bound = bind(flags.host, flags.port)
    threads = flags.threads or max(1, threads_to_use() // flags.workers)
    settings = (flags.device, flags.max_seq_length, threads, flags.do_lower_case, flags.engine)
    model = open_folder(flags.model_dir, *settings)
    model.answer([("a",) * model.texts[0]])  # opens the graph, before anybody asks
    limits = Limits(
        flags.max_inputs, flags.max_text_length, flags.max_body_size, flags.max_requests, flags.timeout
    )
    batching = Batching(flags.max_batch, flags.max_wait, flags.max_queue, flags.workers)
    hosts = AllowedHosts(bound.getsockname()[0], (flags.host.lower(), *flags.allowed_hosts))
    service = Service(model, limits, batching, token, hosts)
    Server(service.app, bound, patience=2 * flags.timeout, connections=connections).run([bound])
