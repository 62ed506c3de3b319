"""A side of the benchmark for tests: draws what it is told, slowly or not at all if its job says so."""

import sys
import time

from bench.peers.talk import serve


def prepare(job):
    print("a library prints on standard output while it loads")
    if job.get("fails") == "start":
        sys.exit("ValueError: no such model")

    def repeat(request):
        if job.get("fails") == request["repeat"]:
            raise MemoryError("the cache is too small")
        print("progress: 50%")
        time.sleep(job.get("seconds", 0.0))
        lengths = request["lengths"] or job["lengths"]
        return {"seconds": 0.5, "new_tokens": sum(lengths), "lengths": lengths}

    return {"lengths": job["lengths"]}, repeat


if __name__ == "__main__":
    serve(prepare)
