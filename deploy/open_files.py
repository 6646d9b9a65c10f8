"""How many connections the limit of open files allows; the limit is raised where the system lets us."""

RESERVE = 64  # descriptors for everything else: libraries, files of the model, the log …
MAX_SELECT = 512  # sockets that Python's `select` takes on Windows


def room_for(connections: int) -> int:
    """How many of so many connections this process can hold open, after raising its soft limit for them.

    Without ``resource`` (Windows) the limit is that of ``select``.
    """
    try:
        import resource
    except ImportError:
        return min(connections, MAX_SELECT - RESERVE)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + RESERVE
    if soft != resource.RLIM_INFINITY and soft < needed:
        raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
        except (OSError, ValueError):  # macOS allows less than the infinity it calls the hard limit
            pass
    return connections if soft == resource.RLIM_INFINITY else min(connections, soft - RESERVE)
